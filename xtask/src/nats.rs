//! The nats-server that everything runs on.

use rescind_natsd::{NatsServer, Options, find_or_install};

use crate::workspace::Workspace;

/// Names the server to the programs that are started.
pub(crate) const VARIABLE: &str = rescind_natsd::locate::OVERRIDE_VARIABLE;

/// Finds or installs a server and says which.
///
/// # Errors
/// A text that names every way that was tried.
pub(crate) fn server(workspace: &Workspace) -> Result<NatsServer, String> {
    let options = Options::from_env(workspace.root.join("target").join("nats"));
    let server = find_or_install(&options, &mut |text| eprintln!("xtask: {text}")).map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        text
    })?;
    eprintln!("xtask: nats-server {} at {}", server.version, server.path.display());
    Ok(server)
}
