//! One Redis on loopback and the smallest client that can ask it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::data::{ISSUER, jti, session};
use crate::measure::Stopwatch;

/// Limit: how long the server may need to answer after its start.
const START_WAIT: Duration = Duration::from_secs(10);
/// Keys of one pipelined piece while it is filled.
const FILL_KEYS: u64 = 10_000;

/// A server of our own; it ends with this value.
pub(super) struct Redis {
    server: Child,
    stream: BufReader<TcpStream>,
    keys: u64,
    request: Vec<u8>,
    line: String,
    _dir: TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Why ignored: it may have ended by itself, and nothing depends on it any more.
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

impl Redis {
    /// Starts a server without persistence and fills it with this many keys, one for each revocation.
    ///
    /// # Errors
    /// There is no `redis-server`, or it does not come up.
    pub(super) fn start(keys: u64) -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("cannot start redis-server ({error}); install it, for example with apt")
            })?;
        let stream = connect(port);
        let mut redis = match stream {
            Ok(stream) => Self { server, stream, keys, request: Vec::new(), line: String::new(), _dir: dir },
            Err(error) => {
                let mut server = server;
                server.kill()?;
                server.wait()?;
                return Err(error);
            }
        };
        redis.fill()?;
        Ok(redis)
    }

    /// Asks for one key; half of them exist.
    ///
    /// # Errors
    /// The connection broke or the answer is no number.
    pub(super) fn exists(&mut self, roll: u64) -> Outcome<bool> {
        let key = key_of(roll % (self.keys * 2));
        command(&mut self.request, &["EXISTS", &key]);
        self.stream.get_mut().write_all(&self.request)?;
        self.request.clear();
        match self.answer()? {
            ":1" => Ok(true),
            ":0" => Ok(false),
            other => Err(format!("redis answered `{other}`").into()),
        }
    }

    fn answer(&mut self) -> Outcome<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        Ok(self.line.trim_end())
    }

    fn fill(&mut self) -> Outcome {
        let mut next = 0;
        while next < self.keys {
            let end = self.keys.min(next + FILL_KEYS);
            let mut request = Vec::new();
            for number in next..end {
                command(&mut request, &["SET", &key_of(number), "1"]);
            }
            self.stream.get_mut().write_all(&request)?;
            for _ in next..end {
                if self.answer()? != "+OK" {
                    return Err("redis did not take a key".into());
                }
            }
            next = end;
        }
        Ok(())
    }
}

fn key_of(number: u64) -> String {
    if number.is_multiple_of(2) {
        format!("token:{ISSUER}#{}", jti(number))
    } else {
        format!("session:{ISSUER}#{}", session(number))
    }
}

fn connect(port: u16) -> Outcome<BufReader<TcpStream>> {
    let watch = Stopwatch::start();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(START_WAIT))?;
                return Ok(BufReader::new(stream));
            }
            Err(_) if watch.elapsed() < START_WAIT => thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(format!("redis-server does not answer ({error})").into()),
        }
    }
}

/// Appends one command. Spec: RESP, arrays of bulk strings.
fn command(request: &mut Vec<u8>, words: &[&str]) {
    request.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        request.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
}
