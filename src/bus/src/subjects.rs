//! Names of everything on the bus, built from a checked realm.

use std::fmt;

#[cfg(test)]
mod tests;

/// Limit: longest realm or agent id in bytes; keeps every subject far below the server's 4 KiB line.
const TOKEN_BYTES_MAX: usize = 64;

/// Limit: dots in a lane name, plus one (`grant.<partition>` needs two parts).
const LANE_TOKENS_MAX: usize = 4;

/// A name that cannot be part of a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{value}` is not usable: {reason}; use 1 to {TOKEN_BYTES_MAX} of A-Z a-z 0-9 _ -")]
pub struct SubjectError {
    /// What was named: realm, agent id or lane.
    pub kind: &'static str,
    /// What was given, cut to a printable length.
    pub value: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// The subjects, the stream and the bucket of one realm.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subjects {
    realm: String,
}

impl Subjects {
    /// Checks the realm's name.
    ///
    /// # Errors
    /// [`SubjectError`] when it is empty, too long or holds another character than `A-Z a-z 0-9 _ -`.
    pub fn new(realm: &str) -> Result<Self, SubjectError> {
        check("realm", realm)?;
        Ok(Self { realm: realm.to_owned() })
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Name of the stream that holds the chain.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("RESCIND_{}", self.realm)
    }

    /// Name of the object store bucket for snapshots.
    #[must_use]
    pub fn bucket(&self) -> String {
        format!("RESCIND_{}_SNAPSHOTS", self.realm)
    }

    /// Where a lane is written, `rescind.v1.<realm>.log.<lane>`.
    ///
    /// # Errors
    /// [`SubjectError`] for a lane that is not one to four names joined by dots.
    pub fn log(&self, lane: &str) -> Result<String, SubjectError> {
        self.lane("log", lane)
    }

    /// Every written lane.
    #[must_use]
    pub fn log_all(&self) -> String {
        self.below("log.>")
    }

    /// Where the server repeats a stored lane, `rescind.v1.<realm>.live.<lane>`.
    ///
    /// # Errors
    /// As [`Subjects::log`].
    pub fn live(&self, lane: &str) -> Result<String, SubjectError> {
        self.lane("live", lane)
    }

    /// Every repeated lane.
    #[must_use]
    pub fn live_all(&self) -> String {
        self.below("live.>")
    }

    /// Lease requests of agents.
    #[must_use]
    pub fn lease(&self) -> String {
        self.below("lease")
    }

    /// Requests for a missing range.
    #[must_use]
    pub fn repair(&self) -> String {
        self.below("repair")
    }

    /// Requests for a snapshot's manifest or chunk.
    #[must_use]
    pub fn snapshot(&self) -> String {
        self.below("snapshot")
    }

    /// Directives of emitters.
    #[must_use]
    pub fn directive(&self) -> String {
        self.below("directive")
    }

    /// Reports of one agent.
    ///
    /// # Errors
    /// [`SubjectError`] for a wrong agent id.
    pub fn report(&self, agent_id: &str) -> Result<String, SubjectError> {
        check("agent id", agent_id)?;
        Ok(self.below(format_args!("agent.{agent_id}.report")))
    }

    /// Reports of every agent.
    #[must_use]
    pub fn report_all(&self) -> String {
        self.below("agent.*.report")
    }

    /// Where one agent hands back signed entries that a controller lost.
    ///
    /// # Errors
    /// [`SubjectError`] for a wrong agent id.
    pub fn tail(&self, agent_id: &str) -> Result<String, SubjectError> {
        check("agent id", agent_id)?;
        Ok(self.below(format_args!("agent.{agent_id}.tail")))
    }

    /// What every agent hands back.
    #[must_use]
    pub fn tail_all(&self) -> String {
        self.below("agent.*.tail")
    }

    /// Directives that a standby passes on to the controller that writes.
    #[must_use]
    pub fn forward(&self) -> String {
        self.below("forward")
    }

    /// The lane of a `live` subject of this realm; `None` for any other subject.
    #[must_use]
    pub fn lane_of<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.below("live."))
    }

    /// The agent of a report subject of this realm; `None` for any other subject.
    #[must_use]
    pub fn agent_of<'a>(&self, subject: &'a str) -> Option<&'a str> {
        self.agent_before(subject, ".report")
    }

    /// The agent of a tail subject of this realm; `None` for any other subject.
    #[must_use]
    pub fn agent_of_tail<'a>(&self, subject: &'a str) -> Option<&'a str> {
        self.agent_before(subject, ".tail")
    }

    fn agent_before<'a>(&self, subject: &'a str, kind: &str) -> Option<&'a str> {
        let agent = subject.strip_prefix(&self.below("agent."))?.strip_suffix(kind)?;
        check("agent id", agent).ok().map(|()| agent)
    }

    fn below(&self, rest: impl fmt::Display) -> String {
        format!("rescind.v1.{}.{rest}", self.realm)
    }

    fn lane(&self, kind: &str, lane: &str) -> Result<String, SubjectError> {
        let mut tokens = lane.split('.');
        tokens
            .try_for_each(|token| check("lane", token).map_err(|error| named("lane", lane, error.reason)))?;
        if lane.split('.').count() > LANE_TOKENS_MAX {
            return Err(named("lane", lane, "it has more than four parts"));
        }
        Ok(self.below(format_args!("{kind}.{lane}")))
    }
}

/// The prefix of all reply subjects of a user; nobody else may listen below it.
pub(crate) fn inbox_prefix(name: &str) -> Result<String, SubjectError> {
    check("user name", name)?;
    Ok(format!("_INBOX_{name}"))
}

fn check(kind: &'static str, token: &str) -> Result<(), SubjectError> {
    if token.is_empty() {
        return Err(named(kind, token, "it is empty"));
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(named(kind, token, "it is too long"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Err(named(kind, token, "it holds a character that is not allowed"));
    }
    Ok(())
}

fn named(kind: &'static str, value: &str, reason: &'static str) -> SubjectError {
    let value = value.chars().take(TOKEN_BYTES_MAX).flat_map(char::escape_default).collect();
    SubjectError { kind, value, reason }
}
