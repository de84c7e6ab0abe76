//! How asking the controller fails, and what that means for the exit code.

use crate::fault::Fault;

/// A question without a good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection; nothing was sent.
    #[error(
        "cannot reach the controller at `{url}`: {why}; nothing was sent; start it, try `rescind dev`, or name \
         another with --url"
    )]
    Unreachable {
        /// Its address.
        url: String,
        /// The innermost cause.
        why: String,
    },
    /// The connection ended, or no answer came in time.
    #[error("lost the controller at `{url}` while waiting for its answer: {why}; try again")]
    Lost {
        /// Its address.
        url: String,
        /// What the HTTP client said.
        why: String,
    },
    /// The controller says no, and why.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable code.
        code: String,
        /// What to do, in the controller's words.
        message: String,
    },
    /// An error that no controller writes.
    #[error("`{url}` answered with status {status} and is no rescind controller; check the address")]
    Foreign {
        /// Its address.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// An answer that cannot be read.
    #[error("cannot use the answer of `{url}`: {why}; check the address and that both versions fit")]
    Unusable {
        /// Its address.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl ClientError {
    /// Whether the controller has no such thing.
    pub(crate) const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the same directive may be sent again, with the same key.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Lost { .. } => true,
            Self::Refused { status, code, .. } => *status == 504 || (*status == 503 && code == "busy"),
            Self::Unreachable { .. } | Self::Foreign { .. } | Self::Unusable { .. } => false,
        }
    }

    /// Whether the directive may have been accepted all the same.
    pub(super) const fn is_indeterminate(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Unusable { .. } => true,
            Self::Refused { status, .. } => *status == 504,
            Self::Unreachable { .. } | Self::Foreign { .. } => false,
        }
    }

    /// The failed command; `attempt` is what was attempted, as in `revoke user:u1`.
    pub(crate) fn fault(self, attempt: &str) -> Fault {
        match &self {
            Self::Unreachable { .. } => Fault::internal("unreachable", format!("{attempt}: {self}")),
            Self::Lost { .. } => Fault::internal("lost", format!("{attempt}: {self}")),
            Self::Foreign { .. } | Self::Unusable { .. } => {
                Fault::internal("answer", format!("{attempt}: {self}"))
            }
            Self::Refused { status: 504, .. } => {
                Fault::internal("indeterminate", format!("{attempt}: {self}"))
            }
            Self::Refused { status, code, .. } if *status >= 500 && *status != 503 => {
                Fault::internal("controller", format!("{attempt} failed in the controller ({code}): {self}"))
            }
            Self::Refused { code, .. } => {
                Fault::refused(code.clone(), format!("{attempt} was refused ({code}): {self}"))
            }
        }
    }
}
