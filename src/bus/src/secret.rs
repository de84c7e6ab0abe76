//! A secret text that is wiped after use and never shown.

use std::{fs::File, io::Read, path::Path};

use zeroize::Zeroizing;

/// Limit: a seed has 58 characters, a password a few more; a longer file is not one of them.
const SECRET_BYTES_MAX: u64 = 4096;

/// A secret that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file `{path}`; check its path and rights")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds nothing, too much, or no text.
    #[error(
        "the secret file `{path}` is empty, longer than {SECRET_BYTES_MAX} bytes or no text; put one line into it"
    )]
    Content {
        /// The file.
        path: String,
    },
}

/// A password or an nkey seed: no `Debug` of the content, no `Display`, wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over; white space around it is dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// Reads a file of one line.
    ///
    /// # Errors
    /// [`SecretError`] when it cannot be read, is empty, longer than 4 KiB or no UTF-8.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let shown = path.display().to_string();
        let mut bytes = Zeroizing::new(Vec::with_capacity(128));
        File::open(path)
            .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|source| SecretError::Read { path: shown.clone(), source })?;
        let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
        if text.is_empty() || u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SECRET_BYTES_MAX {
            return Err(SecretError::Content { path: shown });
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
