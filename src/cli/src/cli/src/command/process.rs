//! What every serving process needs: logs, and to be told when to end.

use std::env;

use rescind_telemetry::{LogFormat, init_tracing};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::fault::{Fault, chain};
use crate::output::Screen;
use crate::settings::plain;

/// Environment variable with the log filter.
const FILTER: &str = "RUST_LOG";

/// Logs to standard error, as a person or a script reads them.
pub(super) fn logs(screen: Screen, default: &str) -> Result<(), Fault> {
    let filter = env::var(FILTER).unwrap_or_else(|_| default.to_owned());
    let format = if screen.is_json() { LogFormat::Json } else { LogFormat::Human };
    init_tracing(format, &filter).map_err(|error| Fault::usage(format!("setting up logs: {}", chain(&error))))
}

/// Ctrl-C and SIGTERM.
pub(super) struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    /// Listens from now on; nothing is missed.
    pub(super) fn listen() -> Result<Self, Fault> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Fault::internal("signal", format!("cannot listen for signals: {}", plain(&error)))
            })
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Until somebody asks to end.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
