//! A link between one process and the broker that can be hurt in every way that a network knows.
//!
//! It knows where messages begin and end ([`frames`]), so it can delay, reorder, lose and repeat whole messages, and
//! cut a connection in the middle of one.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rescind_testkit::{KitError, KitResult};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::dice::Dice;

pub mod frames;
mod pump;
#[cfg(test)]
mod tests;

/// What the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes flow both ways.
    Open,
    /// Nothing flows and nobody is told; what was sent arrives after the heal, as TCP does it.
    BlackHole,
    /// As `BlackHole`, only towards the client.
    Deaf,
    /// As `BlackHole`, only towards the server.
    Mute,
    /// Connections are torn down, new ones are closed at once.
    Cut,
    /// Connections that exist are dead for ever and nobody is told; new ones work. What a firewall does that lost
    /// its table.
    Forgotten,
    /// Everything is late by so much.
    Late(Duration),
    /// Messages overtake each other within some milliseconds.
    Reordered,
    /// Every message comes twice.
    Repeated,
    /// So many messages of 100 are lost.
    Lossy(u64),
    /// Every connection is torn in the middle of a message.
    TornInFrame,
    /// Connections that exist are closed towards the client only; what it sends still arrives.
    HalfClosed,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Mode {
    const fn passes(self, direction: Direction) -> bool {
        match self {
            Self::BlackHole | Self::Cut => false,
            Self::Deaf => matches!(direction, Direction::ToServer),
            Self::Mute => matches!(direction, Direction::ToClient),
            Self::Open
            | Self::Forgotten
            | Self::Late(_)
            | Self::Reordered
            | Self::Repeated
            | Self::Lossy(_)
            | Self::TornInFrame
            | Self::HalfClosed => true,
        }
    }
}

/// A link; dropping it closes everything.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
    hurt: Arc<AtomicU64>,
}

impl Link {
    /// Listens on loopback and forwards to the first of `targets` that answers.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(targets: Vec<SocketAddr>, dice: Dice) -> KitResult<Self> {
        Self::listen(Ipv4Addr::LOCALHOST.into(), targets, dice).await
    }

    /// Listens on an address of this machine.
    ///
    /// # Errors
    /// The address is not there.
    pub async fn listen(at: IpAddr, targets: Vec<SocketAddr>, dice: Dice) -> KitResult<Self> {
        let listener = TcpListener::bind((at, 0)).await.map_err(KitError::because("listen for a link"))?;
        let address = listener.local_addr().map_err(KitError::because("read a link's address"))?;
        let (mode, watched) = watch::channel(Mode::Open);
        let hurt = Arc::new(AtomicU64::new(0));
        let shared = Shared { targets, mode: watched, hurt: Arc::clone(&hurt) };
        let task = tokio::spawn(serve(listener, shared, dice));
        Ok(Self { address, mode, task, hurt })
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
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many messages it lost, repeated, moved or tore so far.
    #[must_use]
    pub fn hurt(&self) -> u64 {
        self.hurt.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone)]
struct Shared {
    targets: Vec<SocketAddr>,
    mode: watch::Receiver<Mode>,
    hurt: Arc<AtomicU64>,
}

async fn serve(listener: TcpListener, shared: Shared, mut dice: Dice) {
    // Why a set: ending this task ends every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if *shared.mode.borrow() != Mode::Cut {
                    connections.spawn(connection(client, shared.clone(), dice.fork()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection: ends with either side, or when the link is cut.
async fn connection(client: TcpStream, shared: Shared, mut dice: Dice) {
    let Some(server) = reach(&shared.targets).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut mode = shared.mode.clone();
    let hurt = &shared.hurt;
    tokio::select! {
        () = pump::run(from_client, to_server, pump::Setup {
            direction: Direction::ToServer, mode: mode.clone(), dice: dice.fork(), hurt: Arc::clone(hurt),
        }) => {}
        () = pump::run(from_server, to_client, pump::Setup {
            direction: Direction::ToClient, mode: mode.clone(), dice: dice.fork(), hurt: Arc::clone(hurt),
        }) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn reach(targets: &[SocketAddr]) -> Option<TcpStream> {
    for target in targets {
        if let Ok(stream) = TcpStream::connect(target).await {
            return Some(stream);
        }
    }
    None
}
