//! A TCP proxy between a client and the nats-server, to cut one client off without touching the others.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::error::{KitError, KitResult};

#[cfg(test)]
mod tests;

/// What the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMode {
    /// Bytes flow both ways.
    Open,
    /// Nothing flows and nobody is told: connections stay open, new ones are accepted. Bytes wait and flow
    /// after the heal, as TCP does over a short outage.
    BlackHole,
    /// As `BlackHole`, but only towards the client: what it sends still arrives.
    DeafClient,
    /// As `BlackHole`, but only towards the server: what it sends still arrives.
    MuteClient,
    /// Connections are torn down, new ones are closed at once.
    Cut,
}

impl LinkMode {
    const fn passes(self, direction: Direction) -> bool {
        match self {
            Self::Open => true,
            Self::BlackHole | Self::Cut => false,
            Self::DeafClient => matches!(direction, Direction::ToServer),
            Self::MuteClient => matches!(direction, Direction::ToClient),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// A link that can be hurt and healed; dropping it closes everything.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    mode: watch::Sender<LinkMode>,
    target: watch::Sender<SocketAddr>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a loopback port of the system's choice and forwards to `target`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(target: SocketAddr) -> KitResult<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(KitError::because("listen for a proxy"))?;
        let address = listener.local_addr().map_err(KitError::because("read the proxy's address"))?;
        let (mode, watched) = watch::channel(LinkMode::Open);
        let (target, targets) = watch::channel(target);
        let task = tokio::spawn(serve(listener, targets, watched));
        Ok(Self { address, mode, target, task })
    }

    /// Where the client connects, `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where the client connects.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the link does, at once and for connections that exist.
    pub fn set(&self, mode: LinkMode) {
        self.mode.send_replace(mode);
    }

    /// Forwards new connections to another server; those that exist stay.
    pub fn retarget(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// The same as setting [`LinkMode::Open`].
    pub fn heal(&self) {
        self.set(LinkMode::Open);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: watch::Receiver<SocketAddr>, mode: watch::Receiver<LinkMode>) {
    // Why a set: ending this task ends every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if *mode.borrow() != LinkMode::Cut {
                    let target = *target.borrow();
                    connections.spawn(connection(client, target, mode.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection: ends with either side, or when the link is cut.
async fn connection(client: TcpStream, target: SocketAddr, mut mode: watch::Receiver<LinkMode>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, Direction::ToServer, mode.clone()) => {}
        () = pump(from_server, to_client, Direction::ToClient, mode.clone()) => {}
        _ = mode.wait_for(|mode| *mode == LinkMode::Cut) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut mode: watch::Receiver<LinkMode>,
) {
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        if mode.wait_for(|mode| mode.passes(direction)).await.is_err() {
            return;
        }
        let count = match from.read(&mut buffer).await {
            Ok(count @ 1..) => count,
            Ok(0) | Err(_) => return,
        };
        // Why again: the link may have been hurt while the read waited.
        if mode.wait_for(|mode| mode.passes(direction)).await.is_err() {
            return;
        }
        let Some(bytes) = buffer.get(..count) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
