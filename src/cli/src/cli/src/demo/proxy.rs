//! A TCP proxy in front of the broker that can go silent: packets stop, connections stay, nobody is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Whether bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// They do.
    Open,
    /// They wait, in both directions, for as long as this lasts.
    Silent,
}

/// The handle; the proxy ends with `stop`.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    link: watch::Sender<Link>,
}

/// Limit: bytes read at once from one side.
const CHUNK_BYTES: usize = 16 * 1024;

impl Proxy {
    /// Listens on a port that the system chooses and forwards to `upstream` until `stop`.
    pub(super) async fn start(upstream: SocketAddr, stop: CancellationToken) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (link, watched) = watch::channel(Link::Open);
        tokio::spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => break,
                    accepted = listener.accept() => accepted,
                };
                if let Ok((client, _)) = accepted {
                    pipes.spawn(pipe(client, upstream, watched.clone()));
                }
                while pipes.try_join_next().is_some() {}
            }
            pipes.shutdown().await;
        });
        Ok(Self { address, link })
    }

    /// Lets bytes pass or not, for present and new connections.
    pub(super) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

async fn pipe(client: TcpStream, upstream: SocketAddr, link: watch::Receiver<Link>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::select! {
        () = forward(client_in, server_out, link.clone()) => {}
        () = forward(server_in, client_out, link) => {}
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return };
        if link.wait_for(|link| *link == Link::Open).await.is_err() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
