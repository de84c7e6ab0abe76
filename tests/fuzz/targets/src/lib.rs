//! One function for each place where bytes of others come in. Each must come back whatever the bytes are, and what
//! it decodes must, where there is an encoder, encode and decode to the same. A failure is a panic.
//!
//! Bytes are tried as they are, and as a payload under a good signature: what is behind the signature is otherwise
//! never reached. The keys are those of the golden vectors, `schemas/golden/README.md`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a finding is reported")]

mod log;
mod messages;
mod realm;
mod texts;

pub use log::{log_message, recovery};
pub use messages::{
    chunk, directive, directive_answer, lease_grant, lease_request, manifest, repair_request, report,
    snapshot_request,
};
pub use texts::{jwks, realm_files, target_text};

/// A target: its name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; `tests/fuzz` has a program for each.
pub const TARGETS: [Target; 14] = [
    ("log_message", log_message),
    ("recovery", recovery),
    ("lease_request", lease_request),
    ("lease_grant", lease_grant),
    ("report", report),
    ("directive", directive),
    ("directive_answer", directive_answer),
    ("manifest", manifest),
    ("chunk", chunk),
    ("repair_request", repair_request),
    ("snapshot_request", snapshot_request),
    ("realm_files", realm_files),
    ("jwks", jwks),
    ("target_text", target_text),
];

#[cfg(test)]
mod tests;
