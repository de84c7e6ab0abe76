//! The configuration file that is written for a server, and the ports file that it writes.

use std::path::{Component, Path, PathBuf};

use super::{Config, ProcessError, SyncPolicy};
use crate::locate::Version;

/// The first server that knows `sync_interval`; older ones refuse to start with it.
const SYNC_INTERVAL_MIN: Version = Version { major: 2, minor: 10, patch: 0 };

/// The configuration text; `port` 0 asks the system for one.
pub(super) fn render(config: &Config, port: u16, version: Version) -> Result<String, ProcessError> {
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let mut text =
        format!("host: \"{}\"\nport: {port}\nports_file_dir: {}\n", config.host, quoted(&config.data_dir)?);
    if let Some(bytes) = config.max_payload_bytes {
        text.push_str(&format!("max_payload: {bytes}\n"));
    }
    if let Some(jetstream) = &config.jetstream {
        text.push_str(&format!("jetstream {{\n  store_dir: {}\n", quoted(&jetstream.store_dir)?));
        if jetstream.sync == SyncPolicy::Always && version >= SYNC_INTERVAL_MIN {
            text.push_str("  sync_interval: always\n");
        }
        if let Some(bytes) = jetstream.max_store_bytes {
            text.push_str(&format!("  max_file_store: {bytes}\n"));
        }
        text.push_str("}\n");
    }
    if let Some(extra) = &config.extra {
        text.push_str(extra);
        text.push('\n');
    }
    if let Some(file) = &config.include {
        text.push_str(&format!("include {}\n", quoted(&relative(file, &config.data_dir)?)?));
    }
    Ok(text)
}

/// `file` as seen from `folder`, where the configuration lies. Why: the server puts an included path behind the
/// folder of the including file, also an absolute one.
fn relative(file: &Path, folder: &Path) -> Result<PathBuf, ProcessError> {
    let absolute = |path: &Path| {
        let full = std::path::absolute(path);
        full.map_err(|_| ProcessError::Path { path: path.to_owned() })
    };
    let (file, folder) = (absolute(file)?, absolute(folder)?);
    let shared = file.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    Ok(up.chain(file.components().skip(shared)).collect())
}

/// A path as a string of the configuration language, which knows no escape for a quote.
fn quoted(path: &Path) -> Result<String, ProcessError> {
    let error = || ProcessError::Path { path: path.to_owned() };
    let text = path.to_str().ok_or_else(error)?;
    if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        return Err(error());
    }
    Ok(format!("\"{text}\""))
}

/// The client port from a ports file; `None` while the file is missing or half written.
pub(super) fn client_port(json: &[u8]) -> Option<u16> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let url = value.get("nats")?.get(0)?.as_str()?;
    url.rsplit(':').next()?.parse().ok()
}
