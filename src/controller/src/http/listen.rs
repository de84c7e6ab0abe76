//! The listening side: a bounded number of connections, none of them idle for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::startup::StartError;

/// Limit: connections at once; the next one waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// Limit: a connection on which nothing arrives. Why so long: a long poll sends nothing for up to a minute.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Pause after an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Limit: answers under way when a stop was asked for.
const CLOSE_WAIT: Duration = Duration::from_secs(6);

/// Takes an address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { address },
        _ => StartError::Listen { address, source },
    })
}

/// The running server.
#[derive(Debug)]
pub(crate) struct HttpServer {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Serves until [`Self::close`] or `stop`.
    pub(crate) fn start(listener: TcpListener, router: Router, stop: CancellationToken) -> Self {
        let limited = Limited { listener, room: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
        let ended = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let served = axum::serve(limited, router).with_graceful_shutdown(ended).await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP server failed");
            }
        });
        Self { stop, task }
    }

    /// Takes no new connections, lets answers under way finish, and ends.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        if timeout(CLOSE_WAIT, &mut self.task).await.is_err() {
            tracing::warn!("connections were still open at the end and were cut");
            self.task.abort();
        }
    }
}

/// A listener that stops accepting while there are too many connections.
struct Limited {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Listener for Limited {
    type Io = Counted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Counted, SocketAddr) {
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Why: answers are small and somebody waits for them.
                    stream.set_nodelay(true).ok();
                    return (Counted { stream, idle: Box::pin(sleep(IDLE_MAX)), _permit: permit }, address);
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts and ends when nothing arrives.
struct Counted {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(done) => {
                self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
                Poll::Ready(done)
            }
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
