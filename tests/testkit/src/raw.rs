//! A hostile client with every right on the bus: speaks the client protocol by hand, so that it can send what
//! no library of ours would.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::error::{KitError, KitResult};

/// Limit: an answer of a server on loopback.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Where it was published.
    pub subject: String,
    /// What was published, without headers.
    pub payload: Vec<u8>,
}

/// A connection of the hostile client.
#[derive(Debug)]
pub struct RawClient {
    stream: BufReader<TcpStream>,
}

impl RawClient {
    /// Connects as user `user` with `password`.
    ///
    /// # Errors
    /// What the server said, for example `Authorization Violation`.
    pub async fn connect(server: SocketAddr, user: &str, password: &str) -> KitResult<Self> {
        let stream =
            TcpStream::connect(server).await.map_err(KitError::because("connect the hostile client"))?;
        stream.set_nodelay(true).map_err(KitError::because("prepare the hostile client"))?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.line().await?;
        let hello = serde_json::json!({
            "verbose": false, "pedantic": false, "headers": false, "user": user, "pass": password,
            "lang": "raw", "version": "0", "protocol": 1,
        });
        client.send(format!("CONNECT {hello}\r\n").as_bytes()).await?;
        client.settle().await?;
        Ok(client)
    }

    /// Publishes bytes on any subject and waits until the server has taken them.
    ///
    /// # Errors
    /// The connection is gone, or the server refused them.
    pub async fn publish(&mut self, subject: &str, payload: &[u8]) -> KitResult {
        let mut frame = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
        frame.extend_from_slice(payload);
        frame.extend_from_slice(b"\r\n");
        self.send(&frame).await?;
        self.settle().await
    }

    /// Asks something of the server and gives its answer. Takes the place of [`Self::listen`].
    ///
    /// # Errors
    /// The connection is gone, the server refused it, or there is no answer within 10 s.
    pub async fn request(&mut self, subject: &str, payload: &[u8]) -> KitResult<RawMessage> {
        let inbox = "_INBOX.raw";
        self.send(format!("SUB {inbox} 2\r\nUNSUB 2 1\r\n").as_bytes()).await?;
        let mut frame = format!("PUB {subject} {inbox} {}\r\n", payload.len()).into_bytes();
        frame.extend_from_slice(payload);
        frame.extend_from_slice(b"\r\n");
        self.send(&frame).await?;
        self.next().await
    }

    /// Listens on a subject; one subscription is enough for a test.
    ///
    /// # Errors
    /// The connection is gone, or the server refused it.
    pub async fn listen(&mut self, subject: &str) -> KitResult {
        self.send(format!("SUB {subject} 1\r\n").as_bytes()).await?;
        self.settle().await
    }

    /// The next message.
    ///
    /// # Errors
    /// None within 10 s, or the connection is gone.
    pub async fn next(&mut self) -> KitResult<RawMessage> {
        loop {
            let line = self.line().await?;
            if line == "PING" {
                self.send(b"PONG\r\n").await?;
                continue;
            }
            let Some(arguments) = line.strip_prefix("MSG ") else { continue };
            let mut words = arguments.split(' ');
            let subject = words.next().unwrap_or_default().to_owned();
            let bytes: usize = words.next_back().and_then(|count| count.parse().ok()).unwrap_or_default();
            let mut payload = vec![0; bytes.saturating_add(2)];
            self.stream.read_exact(&mut payload).await.map_err(KitError::because("read a message"))?;
            payload.truncate(bytes);
            return Ok(RawMessage { subject, payload });
        }
    }

    /// Waits until the server has worked through everything that was sent.
    async fn settle(&mut self) -> KitResult {
        self.send(b"PING\r\n").await?;
        loop {
            let line = self.line().await?;
            if line == "PONG" {
                return Ok(());
            }
            if let Some(text) = line.strip_prefix("-ERR ") {
                return Err(KitError::new(format!("the server refused the hostile client: {text}")));
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> KitResult {
        self.stream.get_mut().write_all(bytes).await.map_err(KitError::because("write to the server"))
    }

    async fn line(&mut self) -> KitResult<String> {
        let mut line = String::new();
        let read = timeout(ANSWER_WAIT, self.stream.read_line(&mut line)).await;
        let count = read
            .map_err(KitError::because("wait for a line of the server"))?
            .map_err(KitError::because("read a line of the server"))?;
        if count == 0 {
            return Err(KitError::new("the server closed the connection"));
        }
        Ok(line.trim_end().to_owned())
    }
}
