//! The listening side of the direct path: TLS, then HTTP/1.1 with keep-alive, everything bounded.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::sync::CancellationToken;

use super::DirectDoor;

/// Limit: connections at once, those in their handshake included; the next one waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 8192;
/// Limit: handshakes at once. Why few: each costs a signature, and the engine needs the core too.
const HANDSHAKES_MAX: usize = 64;
/// Limit: one handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// Limit: from a connection, or the last answer, to the end of the next request's head. Also ends idle connections:
/// agents renew every few seconds while they use this path.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Limit: bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Pause after an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Limit: answers under way when a stop was asked for.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// The running listener.
#[derive(Debug)]
pub(crate) struct DirectServer {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What every connection needs.
struct Ground {
    acceptor: TlsAcceptor,
    door: DirectDoor,
    handshakes: Semaphore,
    stop: CancellationToken,
}

impl DirectServer {
    /// Serves until [`Self::close`] or `stop`.
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        door: DirectDoor,
        stop: CancellationToken,
    ) -> Self {
        let ground = Ground {
            acceptor: TlsAcceptor::from(tls),
            door,
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            stop: stop.clone(),
        };
        let task = tokio::spawn(accept(listener, ground, stop.clone()));
        Self { address, stop, task }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets answers under way finish, and ends.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the direct path ended by a panic");
        }
    }
}

async fn accept(listener: TcpListener, ground: Ground, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let ground = Arc::new(ground);
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            Ok(permit) = Arc::clone(&room).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let ground = Arc::clone(&ground);
                connections.spawn(async move {
                    serve(stream, peer.ip(), &ground).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a direct connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(CLOSE_WAIT, all).await.is_err() {
        tracing::warn!("direct connections were still open at the end and were cut");
        connections.abort_all();
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, ground: &Ground) {
    // Why: answers are small and somebody waits for them.
    stream.set_nodelay(true).ok();
    let shaken = timeout(HANDSHAKE_WAIT, async {
        let _permit = ground.handshakes.acquire().await;
        ground.acceptor.accept(stream).await
    });
    let stream = match shaken.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a direct connection made no TLS handshake"),
        Err(_) => return tracing::debug!(%peer, "a direct connection made no TLS handshake in time"),
    };
    let service = service_fn(|request| async {
        Ok::<_, std::convert::Infallible>(ground.door.answer(peer, request).await)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT)
            .max_buf_size(HEAD_BYTES_MAX)
            .keep_alive(true)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ground.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a direct connection ended early");
    }
}
