//! Just enough of the NATS client protocol to cut a stream of bytes at message boundaries.

#[cfg(test)]
mod tests;

/// Limit: a control line; the server's own limit is 4 KiB, its INFO line may be longer.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// One unit of the protocol with its line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message in either direction.
    Message(Vec<u8>),
    /// Everything else: INFO, CONNECT, SUB, PING. Also bytes that are no protocol.
    Control(Vec<u8>),
}

impl Frame {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Message(bytes) | Self::Control(bytes) => bytes,
        }
    }
}

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
}

impl Splitter {
    /// Takes bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") else {
            let overlong = self.buffer.len() > LINE_BYTES_MAX;
            return overlong.then(|| Frame::Control(std::mem::take(&mut self.buffer)));
        };
        let line_end = end + 2;
        let payload = self.buffer.get(..end).and_then(payload_bytes);
        let Some(payload) = payload else { return Some(Frame::Control(self.take(line_end))) };
        let whole = line_end.saturating_add(payload).saturating_add(2);
        (self.buffer.len() >= whole).then(|| Frame::Message(self.take(whole)))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// How many bytes follow the line of a message; `None` for every other line.
fn payload_bytes(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split_ascii_whitespace();
    let is_message = ["PUB", "HPUB", "MSG", "HMSG"].contains(&words.next()?.to_ascii_uppercase().as_str());
    if !is_message {
        return None;
    }
    words.next_back()?.parse().ok()
}
