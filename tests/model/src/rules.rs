//! The rules that carry the proof, each of which can be left out, and the guarantee that falls without it.

/// What the model judges in every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guarantee {
    /// Bounded staleness.
    S1,
    /// Truthful `enforced`.
    S2,
    /// A position never falls below what was acknowledged as durable.
    S5,
    /// One history.
    S13,
}

impl Guarantee {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S1, Self::S2, Self::S5, Self::S13];

    /// The name of the property.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S1 => "S1 no allow at or after accepted + B",
            Self::S2 => "S2 what is called enforced is allowed nowhere",
            Self::S5 => "S5 no position below what was acknowledged as durable",
            Self::S13 => "S13 one change at one position",
        }
    }
}

/// A rule of the protocol, to be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The lease counts from the clock before asking, not from the receipt of the grant.
    AnchorBeforeAsking,
    /// A grant is installed only on a state at or past its heads.
    AppliedAtOrPastHead,
    /// Only an answer to an own nonce makes fresh; hearing a tick does not.
    NonceNeeded,
    /// A controller answers only after its tick was appended, so a deposed one never answers.
    DeposedNeverAnswers,
    /// The state is stored before the lease that rests on it.
    StateStoredBeforeLease,
    /// A decision loads the lease before the state.
    LeaseReadBeforeState,
    /// A change is acknowledged only after it was appended.
    AcknowledgeAfterAppend,
    /// An entry is applied only right after the one before it.
    NoGapSkipped,
    /// Each nonce is bound to the clock of its own asking.
    NonceBoundToItsClock,
    /// Every lane is fenced before the new writer acts, the grant lane too.
    GrantLaneFenced,
    /// A tick is answered only after its append, not when it was made.
    TickAnsweredAfterAppend,
    /// The heads of a tick are not older than its nonces.
    HeadsNotOlderThanNonces,
    /// Appends are compare-and-set.
    CompareAndSet,
    /// The ledger notes a grant before the tick is sent.
    GrantNotedBeforeTick,
    /// A new writer claims nothing by receipts until leases of the writer before it have ended.
    BlindAfterTakeOver,
    /// A restart drops the lease.
    LeaseEndsWithRestart,
    /// A durable receipt is sent after the state is on disk.
    ReceiptAfterStore,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::AnchorBeforeAsking,
        Self::AppliedAtOrPastHead,
        Self::NonceNeeded,
        Self::DeposedNeverAnswers,
        Self::StateStoredBeforeLease,
        Self::LeaseReadBeforeState,
        Self::AcknowledgeAfterAppend,
        Self::NoGapSkipped,
        Self::NonceBoundToItsClock,
        Self::GrantLaneFenced,
        Self::TickAnsweredAfterAppend,
        Self::HeadsNotOlderThanNonces,
        Self::CompareAndSet,
        Self::GrantNotedBeforeTick,
        Self::BlindAfterTakeOver,
        Self::LeaseEndsWithRestart,
        Self::ReceiptAfterStore,
    ];

    /// What its absence looks like.
    #[must_use]
    pub const fn without(self) -> &'static str {
        match self {
            Self::AnchorBeforeAsking => "anchoring at receipt",
            Self::AppliedAtOrPastHead => "not checking applied >= head",
            Self::NonceNeeded => "a heartbeat without nonce",
            Self::DeposedNeverAnswers => "answers by a deposed controller",
            Self::StateStoredBeforeLease => "lease stored before state",
            Self::LeaseReadBeforeState => "state read before lease",
            Self::AcknowledgeAfterAppend => "acknowledging before the append",
            Self::NoGapSkipped => "skipping a gap",
            Self::NonceBoundToItsClock => "a nonce not bound to its own m0",
            Self::GrantLaneFenced => "a take-over without fencing the grant lane",
            Self::TickAnsweredAfterAppend => "a tick answered before its append",
            Self::HeadsNotOlderThanNonces => "a tick made before its nonces were collected",
            Self::CompareAndSet => "appending without compare-and-set",
            Self::GrantNotedBeforeTick => "noting a grant only once its tick is stored",
            Self::BlindAfterTakeOver => "trusting receipts right after a take-over",
            Self::LeaseEndsWithRestart => "a lease that survives a restart",
            Self::ReceiptAfterStore => "a durable receipt before the state is on disk",
        }
    }

    /// The guarantee that must fall without it.
    #[must_use]
    pub const fn guards(self) -> Guarantee {
        match self {
            Self::CompareAndSet => Guarantee::S13,
            Self::GrantNotedBeforeTick | Self::BlindAfterTakeOver => Guarantee::S2,
            Self::ReceiptAfterStore => Guarantee::S5,
            _ => Guarantee::S1,
        }
    }
}
