//! One HTTP introspection endpoint on loopback: a bare axum handler that knows the answer already.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::Outcome;
use crate::data::ISSUER;

/// Limit: longest wait for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// A server with one thread of its own and one connection that is kept.
pub(super) struct Introspection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
    /// Ends the server when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Introspection {
    /// Starts the server.
    ///
    /// # Errors
    /// No port or no thread.
    pub(super) fn start() -> Outcome<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || serve(&runtime, listener, stopped));
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new(), _stop: stop })
    }

    /// Asks about one token. Spec: RFC 7662 section 2.
    ///
    /// # Errors
    /// The connection broke or the answer is not that the token is active.
    pub(super) fn ask(&mut self, token: &str) -> Outcome {
        let form = format!("token={token}");
        let request = format!(
            "POST /introspect HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{form}",
            form.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line)? == 0 {
                return Err("the server closed the connection".into());
            }
            let line = self.line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        let active = b"{\"active\":true";
        if self.body.starts_with(active) { Ok(()) } else { Err("the answer is another".into()) }
    }
}

fn serve(runtime: &Runtime, listener: TcpListener, stopped: oneshot::Receiver<()>) {
    let app = Router::new().route("/introspect", post(introspect));
    runtime.block_on(async {
        tokio::select! {
            // Why ignored: both ways it ends, and a question that then fails is reported by who asked it.
            _ = axum::serve(listener, app) => {}
            _ = stopped => {}
        }
    });
}

async fn introspect(form: String) -> ([(&'static str, &'static str); 1], String) {
    let active = form.strip_prefix("token=").is_some_and(|token| !token.is_empty());
    let body = format!(
        "{{\"active\":{active},\"iss\":\"{ISSUER}\",\"sub\":\"user-00000042\",\"client_id\":\"web-shop\",\
         \"scope\":\"order:read profile\",\"exp\":4102444800}}"
    );
    ([("content-type", "application/json")], body)
}
