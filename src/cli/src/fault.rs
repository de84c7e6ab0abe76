//! How a command fails: what was attempted, why it did not work, what to do next, and the exit code.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::exit::Exit;

/// A failed command. `Display` is the whole line for a person; it never holds a token or secret.
#[derive(Debug)]
pub(crate) struct Fault {
    exit: Exit,
    code: Cow<'static, str>,
    message: String,
}

impl Fault {
    /// Wrong arguments or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code: "usage".into(), message: message.into() }
    }

    /// I/O, network, or an outcome that is not known.
    pub(crate) fn internal(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Internal, code: code.into(), message: message.into() }
    }

    /// Refused; nothing was changed.
    pub(crate) fn refused(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, code: code.into(), message: message.into() }
    }

    /// The exit code.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// The stable code in JSON.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error with its sources, joined by `: `; a source that its parent already quotes is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the door")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_source_once() {
        let text = chain(&Outer(std::io::Error::other("locked")));
        assert_eq!(text, "cannot open the door: locked");
    }
}
