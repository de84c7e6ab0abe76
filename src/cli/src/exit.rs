//! What the exit code says. Source: semantics.md section 8.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done; with a board: enforced; with a decision: allow.
    Ok,
    /// Something went wrong on the way, or the outcome is not known.
    Internal,
    /// The command line or a configuration is wrong.
    Usage,
    /// Accepted, and not every expected agent enforces it yet.
    Partial,
    /// Refused, nothing was changed; with a decision: deny.
    Refused,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Refused => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
