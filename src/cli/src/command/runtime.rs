//! The async runtimes: a small one for questions, a full one for what serves.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::exit::Exit;
use crate::fault::Fault;

/// Runs a command that asks and ends.
pub(super) fn client(work: impl Future<Output = Result<Exit, Fault>>) -> Result<Exit, Fault> {
    run(Builder::new_current_thread().enable_all().build(), work)
}

/// Runs a command that serves until it is told to end.
pub(super) fn server(work: impl Future<Output = Result<Exit, Fault>>) -> Result<Exit, Fault> {
    run(Builder::new_multi_thread().enable_all().build(), work)
}

fn run(
    runtime: std::io::Result<Runtime>,
    work: impl Future<Output = Result<Exit, Fault>>,
) -> Result<Exit, Fault> {
    let runtime = runtime.map_err(|error| {
        Fault::internal("runtime", format!("cannot start the runtime: {}", crate::settings::plain(&error)))
    })?;
    runtime.block_on(work)
}
