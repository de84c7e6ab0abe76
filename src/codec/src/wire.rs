//! Reading and writing of framing and of single fields: strict, bounded, without copies.

use prost::Message;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use rescind_core::ids::{ChainId, InstanceId, RecordId};

use crate::error::CodecError;

/// Reads length-delimited fields from the front of a message, refusing whatever else is there.
pub(crate) struct Frame<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(crate) const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    const fn error(&self) -> CodecError {
        CodecError::Framing { what: self.what }
    }

    /// The field number (1 to 15) and the bytes of the next field.
    pub(crate) fn next(&mut self) -> Result<(u8, &'a [u8]), CodecError> {
        let (tag, mut rest) = self.rest.split_first().ok_or_else(|| self.error())?;
        // Wire type 2; numbers past 15 take a second byte and appear in no frame.
        if tag & 0x07 != 2 || tag & 0x80 != 0 {
            return Err(self.error());
        }
        let before = rest.len();
        let length = decode_varint(&mut rest).map_err(|_| self.error())?;
        let shortest = before - rest.len() == encoded_len_varint(length);
        let length = usize::try_from(length).ok().filter(|_| shortest).ok_or_else(|| self.error())?;
        let (field, rest) = rest.split_at_checked(length).ok_or_else(|| self.error())?;
        self.rest = rest;
        Ok((tag >> 3, field))
    }

    /// The bytes of the next field, which must have this number.
    pub(crate) fn field(&mut self, number: u8) -> Result<&'a [u8], CodecError> {
        match self.next()? {
            (seen, field) if seen == number => Ok(field),
            _ => Err(self.error()),
        }
    }

    /// Nothing may be left.
    pub(crate) const fn end(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error()) }
    }
}

/// Bytes that a length-delimited field of `length` bytes takes in a frame.
pub(crate) fn framed_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// Writes one length-delimited field.
pub(crate) fn put_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    put_field_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes tag and length of a length-delimited field whose bytes the caller appends.
pub(crate) fn put_field_head(out: &mut Vec<u8>, number: u8, length: usize) {
    out.push(number << 3 | 2);
    encode_varint(length as u64, out);
}

/// Refuses what is over its size limit.
pub(crate) const fn check_size(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { what, bytes: bytes.len(), limit });
    }
    Ok(())
}

/// Decodes a message that may have fields of a later version. Only for what carries no permission.
pub(crate) fn decode_lenient<M: Message + Default>(
    what: &'static str,
    bytes: &[u8],
) -> Result<M, CodecError> {
    M::decode(bytes).map_err(|source| CodecError::Malformed { what, source })
}

/// Decodes a message and refuses fields that are unknown, repeated or longer than needed.
///
/// Why the length tells: decoding drops what it does not know and keeps the last of what is there twice, and our
/// encoding is the shortest, so whatever was dropped is missing from the length.
pub(crate) fn decode_strict<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, CodecError> {
    let message: M = decode_lenient(what, bytes)?;
    if message.encoded_len() == bytes.len() { Ok(message) } else { Err(CodecError::UnknownField { what }) }
}

/// Bytes of a fixed length.
pub(crate) fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], CodecError> {
    <[u8; N]>::try_from(bytes).map_err(|_| CodecError::Length { field, bytes: bytes.len(), expected: N })
}

/// A run of a process.
pub(crate) fn instance(field: &'static str, bytes: &[u8]) -> Result<InstanceId, CodecError> {
    fixed(field, bytes).map(InstanceId)
}

/// A required sub-message.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, CodecError> {
    value.ok_or(CodecError::Missing { field })
}

/// A packed record id.
pub(crate) fn record_id(field: &'static str, packed: u64) -> Result<RecordId, CodecError> {
    RecordId::from_packed(packed).ok_or(CodecError::Range { field })
}

/// The chain that a message names must be the reader's.
pub(crate) fn check_chain(what: &'static str, seen: &str, expected: &ChainId) -> Result<(), CodecError> {
    if seen == expected.as_str() {
        return Ok(());
    }
    Err(CodecError::WrongChain { what, seen: clip(seen) })
}

/// The start of a text, for messages.
pub(crate) fn clip(text: &str) -> Box<str> {
    text.chars().take(64).collect()
}

/// A text under its limit; may be empty.
pub(crate) fn bounded(field: &'static str, text: String, limit: usize) -> Result<Box<str>, CodecError> {
    if text.len() > limit {
        return Err(CodecError::TextTooLong { field, bytes: text.len(), limit });
    }
    Ok(text.into_boxed_str())
}

/// The longest start of a text that is under a limit: for texts that must not stop a message from being read.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
