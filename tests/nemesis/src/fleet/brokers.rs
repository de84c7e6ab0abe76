//! The broker of a fleet: one server, or a cluster of three.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use rescind_natsd::{Config, NatsProcess, ProcessError};
use rescind_testkit::{KitError, KitResult, server};
use tokio::task::block_in_place;

/// One or three servers.
#[derive(Debug)]
pub struct Brokers {
    nodes: Vec<NatsProcess>,
}

impl Brokers {
    /// Starts `count` servers with the realm's own configuration text, each with a store below `dir`
    /// and its log in `logs`.
    ///
    /// # Errors
    /// A server does not start.
    pub fn start(dir: &Path, conf: &str, count: usize, logs: &Path) -> KitResult<Self> {
        let routes = free_ports(if count > 1 { count } else { 0 })?;
        let mut nodes = Vec::new();
        for number in 0..count {
            let home = dir.join(format!("data/broker-{number}"));
            fs::create_dir_all(&home).map_err(KitError::because("make a broker's folder"))?;
            let mut text = with_store(conf, &home.join("store"))?;
            if let Some(own) = routes.get(number) {
                text.push_str(&cluster(number, *own, &routes));
            }
            let mut config = Config::new(home);
            config.jetstream = None;
            config.log_file = logs.join(format!("broker-{number}.log"));
            config.extra = Some(text);
            let server = server::find()?;
            let started = block_in_place(|| NatsProcess::start(&server, config));
            nodes.push(started.map_err(KitError::because(format!("start broker {number}")))?);
        }
        Ok(Self { nodes })
    }

    /// How many servers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Where clients can connect, beginning with the server `first`.
    #[must_use]
    pub fn addresses(&self, first: usize) -> Vec<SocketAddr> {
        let count = self.nodes.len().max(1);
        let turned = (0..count).filter_map(|step| self.nodes.get((first + step) % count));
        turned.map(NatsProcess::address).collect()
    }

    /// Does something to a server that may take a moment.
    ///
    /// # Errors
    /// What `change` says.
    pub fn with<T>(
        &mut self,
        number: usize,
        what: &str,
        change: impl FnOnce(&mut NatsProcess) -> Result<T, ProcessError>,
    ) -> KitResult<T> {
        let node = self.nodes.get_mut(number);
        let node = node.ok_or_else(|| KitError::new(format!("there is no broker {number}")))?;
        block_in_place(|| change(node)).map_err(KitError::because(format!("{what} (broker {number})")))
    }

    /// Where a server keeps its streams.
    ///
    /// # Errors
    /// There is no such server.
    pub fn store(&self, number: usize) -> KitResult<PathBuf> {
        let node = self.nodes.get(number);
        node.map(|node| node.config().data_dir.join("store"))
            .ok_or_else(|| KitError::new(format!("there is no broker {number}")))
    }
}

/// The realm's text with another store.
fn with_store(conf: &str, store: &Path) -> KitResult<String> {
    let mut found = false;
    let lines = conf.lines().map(|line| {
        if line.trim_start().starts_with("store_dir:") {
            found = true;
            return format!("  store_dir: \"{}\"\n", store.display());
        }
        format!("{line}\n")
    });
    let text: String = lines.collect();
    if found { Ok(text) } else { Err(KitError::new("find the store in the broker's configuration")) }
}

fn cluster(number: usize, own: u16, routes: &[u16]) -> String {
    let others = routes.iter().filter(|port| **port != own);
    let others: Vec<String> = others.map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    // Why no_advertise: a client that learns the other servers' addresses leaves its link, which is there to be hurt.
    format!(
        "server_name: \"node-{number}\"\ncluster {{\n  name: \"nemesis\"\n  listen: \"127.0.0.1:{own}\"\n  \
         no_advertise: true\n  routes: [{}]\n}}\n",
        others.join(", "),
    )
}

/// Ports that nobody listens on now. Why not the system's choice at start: the others must know them before.
fn free_ports(count: usize) -> KitResult<Vec<u16>> {
    let failed = || KitError::because("find a free port");
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(failed())?;
    held.iter().map(|one| one.local_addr().map(|at| at.port())).collect::<Result<_, _>>().map_err(failed())
}
