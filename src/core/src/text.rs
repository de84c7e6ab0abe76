//! The one place that says which text may be an identifier.
//!
//! Rule D15 (semantics.md section 5): empty is nothing, and wildcards inside ids are rejected. An identifier
//! that passed here is never checked again.

use thiserror::Error;

/// Limit: longest identifier in bytes. Long enough for SPIFFE ids and URLs, short enough for a change to stay small.
pub const ID_BYTES_MAX: usize = 512;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing, or only white space.
    #[error("{what} is empty; name exactly one, or use `all` where everything is meant")]
    Blank {
        /// Which part of the input.
        what: &'static str,
    },
    /// Longer than [`ID_BYTES_MAX`].
    #[error("{what} has {bytes} bytes; the limit is {ID_BYTES_MAX}")]
    TooLong {
        /// Which part of the input.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// `*` or `?` inside an id.
    #[error("{what} `{text}` has a wildcard; ids are exact, name each one or use a wider target")]
    Wildcard {
        /// Which part of the input.
        what: &'static str,
        /// The input.
        text: Box<str>,
    },
    /// A control character, or white space at an end.
    #[error("{what} has white space at an end or a control character; remove it")]
    Unprintable {
        /// Which part of the input.
        what: &'static str,
    },
    /// A character outside the set that names may use.
    #[error("{what} `{text}` may only have letters, digits, `-`, `_` and `.`")]
    NotAName {
        /// Which part of the input.
        what: &'static str,
        /// The input.
        text: Box<str>,
    },
}

/// Checks an opaque identifier (a subject, a jti, a URL): not blank, bounded, exact, printable.
///
/// # Errors
/// [`TextError`] says which rule it broke; the caller rejects the whole request.
pub fn check_id(what: &'static str, text: &str) -> Result<(), TextError> {
    // The usual case in one pass: a million changes a second come through here.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'*' && byte != b'?';
    if !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(plain) {
        return Ok(());
    }
    if text.trim().is_empty() {
        return Err(TextError::Blank { what });
    }
    if text.len() > ID_BYTES_MAX {
        return Err(TextError::TooLong { what, bytes: text.len() });
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(TextError::Unprintable { what });
    }
    if text.contains(['*', '?']) {
        return Err(TextError::Wildcard { what, text: text.into() });
    }
    Ok(())
}

/// Checks a name that is also used in NATS subjects and file names: an id of `[A-Za-z0-9_.-]` only.
///
/// # Errors
/// As [`check_id`], and [`TextError::NotAName`] for other characters.
pub fn check_name(what: &'static str, text: &str) -> Result<(), TextError> {
    check_id(what, text)?;
    if text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        Ok(())
    } else {
        Err(TextError::NotAName { what, text: text.into() })
    }
}

#[cfg(test)]
mod tests;
