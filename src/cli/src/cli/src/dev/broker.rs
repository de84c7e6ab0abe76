//! The nats-server of `rescind dev`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rescind_natsd::{Config, NatsProcess, Options, find_or_install};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::DevRealm;
use crate::fault::{Fault, chain};
use crate::output::Screen;

/// A running server; dropping it kills the process.
pub(crate) struct Broker {
    process: Arc<Mutex<NatsProcess>>,
    url: String,
    version: String,
    pid: u32,
    log: String,
}

impl Broker {
    /// Finds a server, or installs one into the directory, and starts it with the realm's permissions.
    ///
    /// # Errors
    /// Internal: there is none and none can be had, or it does not start.
    pub(crate) async fn start(realm: &DevRealm, screen: Screen) -> Result<Self, Fault> {
        let options = Options::from_env(realm.path("nats"));
        let log_file = realm.path("run/nats-server.log");
        let log = log_file.display().to_string();
        let config = Config {
            port: realm.nats_port(),
            // Why: the included file has the store, as it has the users.
            jetstream: None,
            include: Some(realm.path("nats-realm.conf")),
            log_file,
            ..Config::new(realm.path("run/nats"))
        };
        let started = blocking(move || {
            let server = find_or_install(&options, &mut |line| screen.note(line)).map_err(|error| {
                Fault::internal("nats", format!("cannot run without a nats-server: {}", chain(&error)))
            })?;
            NatsProcess::start(&server, config)
                .map_err(|error| Fault::internal("nats", format!("starting nats-server: {}", chain(&error))))
        });
        let process = started.await??;
        let (url, pid) = (process.client_url(), process.pid());
        let version = process.server().version.to_string();
        screen.text(&format!("nats-server  {version} at {url} (process {pid})"));
        Ok(Self { process: Arc::new(Mutex::new(process)), url, version, pid, log })
    }

    /// For a script.
    pub(crate) fn json(&self) -> Value {
        json!({"url": self.url, "version": self.version, "pid": self.pid})
    }

    /// Until the process has ended by itself.
    pub(crate) async fn ended(&self, look_every: Duration) {
        while self.process.lock().unwrap_or_else(PoisonError::into_inner).is_running() {
            tokio::time::sleep(look_every).await;
        }
    }

    /// What that means.
    pub(crate) fn lost(&self) -> Fault {
        Fault::internal(
            "nats",
            format!("the nats-server has ended; its log `{}` may tell why; start again", self.log),
        )
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// Internal: it does not end.
    pub(crate) async fn stop(self) -> Result<(), Fault> {
        let process = self.process;
        blocking(move || {
            let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
            process
                .stop()
                .map_err(|error| Fault::internal("nats", format!("stopping nats-server: {}", chain(&error))))
        })
        .await?
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    spawn_blocking(work).await.map_err(|_| Fault::internal("nats", "the work on the nats-server was cut off"))
}
