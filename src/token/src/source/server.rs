//! A small HTTP server whose answers a test sets, and which counts what it was asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server says next, to every request.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
    /// Sends the head and then nothing, for ever.
    pub(super) hangs: bool,
}

impl Answer {
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

pub(super) struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
    not_modified: Arc<AtomicUsize>,
}

impl Server {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(answer)),
            requests: Arc::default(),
            not_modified: Arc::default(),
        };
        let (answer, requests, not_modified) =
            (Arc::clone(&server.answer), Arc::clone(&server.requests), Arc::clone(&server.not_modified));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                requests.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let same = answer
                    .etag
                    .as_ref()
                    .is_some_and(|etag| head.contains(&format!("if-none-match: {}", etag.to_lowercase())));
                let text = if same {
                    not_modified.fetch_add(1, Ordering::SeqCst);
                    b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_vec()
                } else {
                    response(&answer)
                };
                // The client may have hung up on purpose.
                drop(stream.write_all(&text).await);
                if answer.hangs {
                    std::future::pending::<()>().await;
                }
                drop(stream.shutdown().await);
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    pub(super) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn not_modified(&self) -> usize {
        self.not_modified.load(Ordering::SeqCst)
    }
}

fn response(answer: &Answer) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    if let Some(etag) = &answer.etag {
        head.push_str(&format!("etag: {etag}\r\n"));
    }
    if let Some(location) = &answer.location {
        head.push_str(&format!("location: {location}\r\n"));
    }
    if answer.hangs {
        head.push_str("content-length: 100\r\n");
    }
    head.push_str("\r\n");
    [head.as_bytes(), &answer.body].concat()
}
