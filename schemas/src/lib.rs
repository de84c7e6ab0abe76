//! The contract on the wire: `proto/rescind/v1/*.proto` and the types generated from them.
//!
//! Deliberately without behaviour: what makes a message right or wrong is decided in `rescind-codec`, the only
//! crate that uses these types. Regenerate with `cargo xtask codegen` after a change of a proto file.
//!
//! `golden/` holds one message of every kind, in bytes and in words, and the descriptor set that later versions
//! must stay compatible with. Files there are added, never rewritten.

/// Messages of package `rescind.v1`. The protos say what every field means.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod v1 {
    include!("generated/rescind.v1.rs");
}
