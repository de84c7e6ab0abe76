//! The bus against a real broker, one server of its own for each test.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod common;
mod feeds;
mod requests;
mod security;
mod snapshots;
mod stream;
mod writing;
