//! One error for everything that a test cannot go on after.

use std::{error::Error, fmt};

/// What was attempted and why it failed; shown with all causes.
pub struct KitError {
    attempted: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What tests and the kit return.
pub type KitResult<T = ()> = Result<T, KitError>;

impl KitError {
    /// A failure of the kit's own.
    #[must_use]
    pub fn new(attempted: impl Into<String>) -> Self {
        Self { attempted: attempted.into(), source: None }
    }

    /// A failure with a cause, for `map_err`.
    pub fn because<E>(attempted: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let attempted = attempted.into();
        move |source| Self { attempted, source: Some(source.into()) }
    }
}

impl fmt::Display for KitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempted)?;
        let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The same text: a test that returns this error prints its `Debug`.
impl fmt::Debug for KitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for KitError {}

/// The text of an error with all its causes, in order.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
