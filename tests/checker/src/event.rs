//! What a trace tells. Times are nanoseconds on one clock for the whole trace.

use core::fmt;

use rescind_core::digest::StateDigest;
use rescind_core::ids::RecordId;
use rescind_core::position::{EntryHash, Epoch, Heads, Lane, Position, Revision};
use rescind_core::report::ReceiptLevel;

/// Nanoseconds on the trace's clock.
pub type Nanos = u64;

/// One run of an agent; numbers are the recorder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// Which agent.
    pub agent: u32,
    /// Which start of it, counted up.
    pub run: u32,
}

/// One run of a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer {
    /// Which controller.
    pub controller: u32,
    /// Which start of it.
    pub run: u32,
}

/// What records name and requests are about (a user, a session ...); numbers are the recorder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub u64);

/// What a change does, as far as answers depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A record.
    Deny {
        /// Whom it denies.
        subject: Subject,
        /// Denies everything while it is active (hold, kill, disable, tombstones).
        standing: bool,
        /// What was issued at or before this second is dead for ever (revoke and disable of a user).
        cutoff: Option<i64>,
    },
    /// A lift or reinstate.
    End {
        /// Of this record.
        record: RecordId,
        /// What was issued at or before this second stays dead.
        cutoff: Option<i64>,
    },
    /// An entitlement.
    Grant {
        /// Whose.
        subject: Subject,
        /// To do what; the recorder's number.
        right: u64,
    },
    /// The end of an entitlement.
    Withdraw {
        /// Which.
        entitlement: RecordId,
    },
    /// Anything else (fences, keys, skipped kinds).
    Other,
}

/// What became of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is in the chain, under this id.
    Accepted {
        /// Its id.
        id: RecordId,
        /// What it does.
        effect: Effect,
    },
    /// Nobody knows.
    Indeterminate {
        /// What it does if it is in the chain.
        effect: Effect,
    },
    /// It is not in the chain and will not be.
    Refused,
}

/// What the store of an agent was when a run started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// As the run before left it.
    Intact,
    /// An older one, an empty one, a damaged one, or none.
    Doubtful,
}

/// What broke in an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything is denied until it recovers (fork, poison, digest).
    Standing,
    /// What was asked for before is void (clock fault).
    Lease,
}

/// What ended for an agent, and so how soon it has to be fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heal {
    /// Its links work again, its state is at hand (L2).
    Warm,
    /// It has to fetch its state (L2).
    Cold,
    /// A snapshot past the poison is there (L6).
    Poison,
    /// Its damaged store can be replaced (L7).
    Damage,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Everything that a record could name.
    pub subjects: Vec<Subject>,
    /// When the token was issued, in seconds; `None`: it does not say.
    pub issued_at: Option<i64>,
    /// What it wants; `None`: not modelled.
    pub right: Option<u64>,
    /// The token is valid from this time of the trace.
    pub valid_from: Option<Nanos>,
    /// Until before this.
    pub valid_until: Option<Nanos>,
    /// The answer has to be at or after this.
    pub at_least: Option<(Lane, Position)>,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Who answered.
    pub run: Run,
    /// When it was asked.
    pub began: Nanos,
    /// A time at or before the final reading of the clock.
    pub read: Nanos,
    /// The question.
    pub request: Request,
    /// The answer.
    pub allow: bool,
    /// Deny position of the state that answered.
    pub deny: Position,
    /// Grant position of it.
    pub grant: Position,
    /// A record that it names.
    pub record: Option<RecordId>,
}

/// One thing that happened. Events come in order of `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "`at` is when it happened, `run` and `by` are whose it is")]
pub enum Event {
    /// A directive was sent; its answer is due by `deadline`. Retries repeat `key`.
    Asked { at: Nanos, ticket: u64, key: u64, deadline: Nanos },
    /// It was answered.
    Answered { at: Nanos, ticket: u64, answer: Answer },
    /// The sender is gone: no answer is due.
    Abandoned { at: Nanos, ticket: u64 },
    /// The stream holds this change.
    Ordered { at: Nanos, id: RecordId, key: u64, effect: Effect },
    /// The stream holds this entry.
    Entry { at: Nanos, lane: Lane, last: Position, hash: EntryHash },
    /// Somebody without the right made an entry with this hash.
    Forged { at: Nanos, hash: EntryHash },
    /// A run of an agent started, from `heads` of its store.
    Started { at: Nanos, run: Run, strict: bool, store: Store, heads: Heads },
    /// It ended, or stands still; it decides nothing from now on.
    Stopped { at: Nanos, run: Run },
    /// Decisions read this from now on. Times of the lease are on the trace's clock.
    Published {
        at: Nanos,
        run: Run,
        heads: Heads,
        digest: Option<StateDigest>,
        asked_at: Option<Nanos>,
        fresh_until: Option<Nanos>,
    },
    /// The same view ends at another time: the clock jumped.
    LeaseMoved { at: Nanos, run: Run, fresh_until: Nanos },
    /// The disk holds this.
    Stored { at: Nanos, run: Run, heads: Heads },
    /// A receipt was sent.
    Receipt { at: Nanos, run: Run, level: ReceiptLevel, heads: Heads },
    /// A question was answered.
    Decided(Box<Decision>),
    /// An agent noticed a fault.
    Faulted { at: Nanos, run: Run, fault: Fault },
    /// Its standing fault is over.
    Recovered { at: Nanos, run: Run },
    /// The ledger says that this is enforced.
    Enforced { at: Nanos, by: Writer, id: RecordId },
    /// A tick was appended; `sent_at` is when its heads were read.
    Tick { at: Nanos, by: Writer, sent_at: Nanos, epoch: Epoch, heads: Heads },
    /// A controller writes from now on, on top of `heads`.
    WriterBegan { at: Nanos, by: Writer, epoch: Epoch, heads: Heads },
    /// It does not write any more.
    WriterEnded { at: Nanos, by: Writer },
    /// A fence was appended. `lost`: it branches below what somebody held, released by `approvals` people.
    Fence { at: Nanos, by: Writer, lane: Lane, epoch: Epoch, first: Revision, lost: bool, approvals: u8 },
    /// The writer's state at its confirmed heads.
    Confirmed { at: Nanos, by: Writer, heads: Heads, digest: StateDigest },
    /// A record was cleaned up.
    Forgot { at: Nanos, record: RecordId },
    /// A secret was found where it must not be.
    Leak { at: Nanos, place: Box<str> },
    /// Something is wrong with this agent's links, store or clock: nothing is due from it.
    Upset { at: Nanos, run: Run },
    /// That is over.
    Healed { at: Nanos, run: Run, heal: Heal },
    /// A lease ended where nothing but `lost` renewals in a row went wrong.
    Lapsed { at: Nanos, run: Run, lost: u32 },
    /// A run ended by itself.
    Crashed { at: Nanos, run: Run },
    /// No fault anywhere from now on. `still`: and no new directives.
    Calm { at: Nanos, still: bool },
    /// Faults again.
    Storm { at: Nanos },
}

impl Event {
    /// When it happened.
    #[must_use]
    pub fn at(&self) -> Nanos {
        match self {
            Self::Decided(decision) => decision.read,
            Self::Asked { at, .. }
            | Self::Answered { at, .. }
            | Self::Abandoned { at, .. }
            | Self::Ordered { at, .. }
            | Self::Entry { at, .. }
            | Self::Forged { at, .. }
            | Self::Started { at, .. }
            | Self::Stopped { at, .. }
            | Self::Published { at, .. }
            | Self::LeaseMoved { at, .. }
            | Self::Stored { at, .. }
            | Self::Receipt { at, .. }
            | Self::Faulted { at, .. }
            | Self::Recovered { at, .. }
            | Self::Enforced { at, .. }
            | Self::Tick { at, .. }
            | Self::WriterBegan { at, .. }
            | Self::WriterEnded { at, .. }
            | Self::Fence { at, .. }
            | Self::Confirmed { at, .. }
            | Self::Forgot { at, .. }
            | Self::Leak { at, .. }
            | Self::Upset { at, .. }
            | Self::Healed { at, .. }
            | Self::Lapsed { at, .. }
            | Self::Crashed { at, .. }
            | Self::Calm { at, .. }
            | Self::Storm { at } => *at,
        }
    }

    /// The run that it is about, if any.
    #[must_use]
    pub fn run(&self) -> Option<Run> {
        match self {
            Self::Decided(decision) => Some(decision.run),
            Self::Started { run, .. }
            | Self::Stopped { run, .. }
            | Self::Published { run, .. }
            | Self::LeaseMoved { run, .. }
            | Self::Stored { run, .. }
            | Self::Receipt { run, .. }
            | Self::Faulted { run, .. }
            | Self::Recovered { run, .. }
            | Self::Upset { run, .. }
            | Self::Healed { run, .. }
            | Self::Lapsed { run, .. }
            | Self::Crashed { run, .. } => Some(*run),
            Self::Asked { .. }
            | Self::Answered { .. }
            | Self::Abandoned { .. }
            | Self::Ordered { .. }
            | Self::Entry { .. }
            | Self::Forged { .. }
            | Self::Enforced { .. }
            | Self::Tick { .. }
            | Self::WriterBegan { .. }
            | Self::WriterEnded { .. }
            | Self::Fence { .. }
            | Self::Confirmed { .. }
            | Self::Forgot { .. }
            | Self::Leak { .. }
            | Self::Calm { .. }
            | Self::Storm { .. } => None,
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {} run {}", self.agent, self.run)
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "controller {} run {}", self.controller, self.run)
    }
}

/// Heads without their hashes, for people.
pub(crate) struct Short<'a>(pub(crate) &'a Heads);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.0.deny.hash.0;
        write!(f, "deny {} ({a:02x}{b:02x}) grant {}", self.0.deny.position, self.0.grant.position)
    }
}

/// A time of the trace in milliseconds.
pub(crate) struct Ms(pub(crate) Nanos);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1_000_000, self.0 / 1000 % 1000)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>14}  ", Ms(self.at()).to_string())?;
        match self {
            Self::Published { run, heads, fresh_until, .. } => {
                write!(f, "{run} publishes {}", Short(heads))?;
                fresh_until.map_or(Ok(()), |until| write!(f, ", fresh until {}", Ms(until)))
            }
            Self::Receipt { run, level, heads, .. } => {
                write!(f, "{run} acknowledges {level:?} {}", Short(heads))
            }
            Self::Stored { run, heads, .. } => write!(f, "{run} stores {}", Short(heads)),
            Self::Started { run, store, heads, .. } => {
                write!(f, "{run} starts, store {store:?}, {}", Short(heads))
            }
            Self::Tick { by, epoch, heads, sent_at, .. } => {
                write!(
                    f,
                    "{by} appends a tick of epoch {}, read at {}, {}",
                    epoch.0,
                    Ms(*sent_at),
                    Short(heads)
                )
            }
            Self::WriterBegan { by, epoch, heads, .. } => {
                write!(f, "{by} writes, epoch {}, {}", epoch.0, Short(heads))
            }
            Self::Confirmed { by, heads, .. } => write!(f, "{by} confirms {}", Short(heads)),
            Self::Decided(decision) => write!(
                f,
                "{} {} {:?} on deny {} grant {}",
                decision.run,
                if decision.allow { "allows" } else { "denies" },
                decision.request,
                decision.deny,
                decision.grant,
            ),
            other => write!(f, "{other:?}"),
        }
    }
}
