//! What an agent process writes down, one JSON object per line.
//!
//! The file outlives the process, so nothing that was allowed is forgotten by a kill -9.

use serde::{Deserialize, Serialize};

/// One line. All times are nanoseconds of [`crate::clock::mono_ns`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum Line {
    /// The process began.
    Started {
        /// When.
        at_ns: u64,
    },
    /// One decision. Written when the answer to this question changed, then for the last answer before the change
    /// too, and every 50 ms while it is an allow.
    Answer {
        /// Name of the question.
        q: String,
        /// Clock before the call: the decision's own last look at its clock was not earlier.
        from_ns: u64,
        /// Clock after the call.
        to_ns: u64,
        /// Whether it allowed.
        allow: bool,
        /// Reason code.
        code: String,
        /// Epoch and revision of the deny lane that it was decided on.
        deny: (u32, u64),
        /// The same of the grant lane.
        grant: (u32, u64),
    },
    /// How the agent fares. Written when its freshness changed and every 100 ms.
    State {
        /// When.
        at_ns: u64,
        /// Whether it is fresh.
        fresh: bool,
        /// Applied position of the deny lane.
        deny: String,
        /// Applied position of the grant lane.
        grant: String,
        /// Digest of what is applied.
        digest: String,
        /// `disk` or `memory`.
        store: String,
        /// What stands against being fresh.
        fault: Option<String>,
    },
}

/// One question that agents ask themselves over and over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name.
    pub q: String,
    /// A token.
    pub token: String,
    /// What is asked for.
    pub action: String,
    /// On what.
    pub resource: String,
    /// Until this is set, the question is asked; a later line with the same name and `true` ends it.
    #[serde(default)]
    pub over: bool,
}
