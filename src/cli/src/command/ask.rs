//! A client from the arguments and the usual places.

use crate::args::ClientArgs;
use crate::client::Client;
use crate::fault::Fault;
use crate::output::Screen;
use crate::settings::{Places, Settings};

/// The controller that `args` and the environment name.
pub(super) fn client(args: &ClientArgs, screen: Screen) -> Result<Client, Fault> {
    let client = Client::new(Settings::load(args, &Places::from_env())?)?;
    if client.is_exposed() {
        screen.note(&format!(
            "rescind: warning: the token travels unprotected to {}; use https, or a tunnel to loopback",
            client.url()
        ));
    }
    Ok(client)
}
