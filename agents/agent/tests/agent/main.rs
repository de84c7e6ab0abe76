//! The agent from outside: its configuration, and an agent that follows a real broker and a small controller.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod config;
mod controller;
mod following;
mod realm;
