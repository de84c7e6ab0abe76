//! The nats-server binary for tests.

use std::path::{Path, PathBuf};

use rescind_natsd::{NatsServer, Options, find_or_install};

use crate::error::{KitError, KitResult};

/// Finds a server as `cargo xtask` does, or installs one into `target/nats`. Several tests may ask at once.
///
/// # Errors
/// Every way that was tried.
pub fn find() -> KitResult<NatsServer> {
    let dir = repository().join("target").join("nats");
    find_or_install(&Options::from_env(dir), &mut |_| {}).map_err(KitError::because("find a nats-server"))
}

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
