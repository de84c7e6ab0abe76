//! Ed25519 keys. Source: RFC 8032; protocol.md sections 2 and 6.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// What the text form of a secret key starts with.
const SECRET_PREFIX: &str = "rescind-ed25519-secret:";

/// Limit: bytes of a secret key's text; the form takes 68.
const SECRET_TEXT_BYTES_MAX: usize = 128;

/// Why something is no key. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the text form of a secret key.
    #[error("this is no secret key file; it holds one line that starts with `{SECRET_PREFIX}`")]
    NotASecret,
    /// Not base64 of 32 bytes.
    #[error("the key is not base64 of 32 bytes")]
    NotBase64,
    /// Not a point of the curve in its one encoding.
    #[error("the public key is not a valid Ed25519 key")]
    NotAPoint,
    /// A point of small order: everybody can sign for it.
    #[error("the public key is weak; make a new one")]
    Weak,
}

/// Names a key: the first 8 bytes of the SHA-256 of the 32-byte public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A secret key. Wiped from memory when dropped; has no `Debug`, no `Clone` and no serialized form but
/// [`SecretKey::to_text`].
pub struct SecretKey {
    signing: SigningKey,
    id: KeyId,
}

impl SecretKey {
    /// The key that this seed determines. The caller draws the seed from the operating system.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(&seed);
        seed.zeroize();
        let id = key_id(signing.verifying_key().as_bytes());
        Self { signing, id }
    }

    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError`], which never shows anything of the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() > SECRET_TEXT_BYTES_MAX {
            return Err(KeyError::NotASecret);
        }
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::NotASecret)?;
        Ok(Self::from_seed(*decode_key(encoded)?))
    }

    /// The text form, one line. To be kept where only its owner can read it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_TEXT_BYTES_MAX));
        text.push_str(SECRET_PREFIX);
        STANDARD.encode_string(self.signing.as_bytes(), &mut text);
        text.push('\n');
        text
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { verifying: self.signing.verifying_key(), id: self.id }
    }

    /// Name of the key.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

/// A public key that is a point of large order in its one encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    verifying: VerifyingKey,
    id: KeyId,
}

impl PublicKey {
    /// Checks and wraps the 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] and [`KeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        // Why weak first: encodings of small-order points that are not canonical are still worth that name.
        if verifying.is_weak() {
            return Err(KeyError::Weak);
        }
        if verifying.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self { verifying, id: key_id(bytes) })
    }

    /// Reads base64 (standard alphabet, padded).
    ///
    /// # Errors
    /// [`KeyError`] as [`Self::from_bytes`], and [`KeyError::NotBase64`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&*decode_key(text.trim())?)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.verifying.to_bytes()
    }

    /// Name of the key.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether this key signed `message`, strictly: no small-order parts, no second encodings.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.verifying.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.verifying.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

fn key_id(public: &[u8; 32]) -> KeyId {
    let digest: [u8; 32] = Sha256::digest(public).into();
    let mut id = [0; 8];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    KeyId(id)
}

fn decode_key(encoded: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    // Why more than 32: the decoder wants room for its estimate of the last group.
    let mut buffer = Zeroizing::new([0; 48]);
    if encoded.len() > 44 {
        return Err(KeyError::NotBase64);
    }
    let length = STANDARD.decode_slice(encoded, &mut *buffer).map_err(|_| KeyError::NotBase64)?;
    let bytes = buffer.get(..length).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(Zeroizing::new).ok_or(KeyError::NotBase64)
}

#[cfg(test)]
mod tests;
