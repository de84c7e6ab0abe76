//! Known bugs that can be put back in, to see that the simulator and the checker find them.
//!
//! A bug is one `if` at the place of the rule that it breaks. Without the cargo feature `seeded-bugs`, [`active`] is
//! a constant `false` and nothing of this is in the program. The setting belongs to a thread, so that tests beside
//! each other do not disturb one another.

macro_rules! bugs {
    ($($name:ident $word:literal $text:literal;)*) => {
        /// A rule that can be broken on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $(#[doc = $text] $name,)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The guarantee that it breaks, and how.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

bugs! {
    AnchorAtReceipt "anchor_at_receipt" "S1: a lease is anchored at the arrival of the grant, not at the sending of its nonce.";
    NonceNotBound "nonce_not_bound" "S1: any outstanding nonce is redeemed by any grant, so the newest anchor goes with an old tick.";
    LeaseSurvivesClockFault "lease_survives_clock_fault" "S12: a clock fault leaves the lease in place.";
    AnchorsSurviveClockFault "anchors_survive_clock_fault" "S12: what was asked for before a clock fault still installs.";
    LeaseTooLong "lease_too_long" "S1: a lease is used for a tenth longer than it was given for.";
    RenewOnlyOnce "renew_only_once" "L3: a renewal that is not answered is repeated only after a whole lease.";
    InstallWithoutHead "install_without_head" "S1: a grant is installed although its heads are not applied.";
    HeartbeatMakesFresh "heartbeat_makes_fresh" "S1: a live tick renews the lease without a nonce.";
    DigestNotCompared "digest_not_compared" "S9: a state that differs from the controller's at equal heads goes unnoticed.";
    AcceptOldEpoch "accept_old_epoch" "S13: a tick of a deposed writer counts.";
    StragglerTaken "straggler_taken" "S13: a live entry of a deposed writer is believed.";
    PoisonIgnored "poison_ignored" "S12: a view that stopped before something it does not understand stays fresh.";
    SkipGap "skip_gap" "S3: an entry past a gap is applied as if it were the next.";
    ForkTakesLatest "fork_takes_latest" "S13: an entry that does not continue the applied history is taken all the same, and no fork is reported.";
    GrantsIgnoreDeps "grants_ignore_deps" "S4: a grant is applied before the denies that it was made after.";
    PendingOverflowSkips "pending_overflow_skips" "S3: what was not applied when the subscription overflowed counts as applied.";
    SnapshotOlderAccepted "snapshot_older_accepted" "S5: a snapshot older than what is applied is installed.";
    DurableBeforeDisk "durable_before_disk" "S10: the durable receipt names what is only in memory.";
    AckBeforePublish "ack_before_publish" "S10: the receipt names one more than decisions see.";
    LiftByTarget "lift_by_target" "S8: a lift ends every record on its target.";
    ReinstateResurrects "reinstate_resurrects" "S6: a reinstate also forgets the cutoff, so old credentials live again (D3).";
    BoundaryIatLess "boundary_iat_less" "S8: what was issued in the second of the cutoff lives (D5).";
    CutoffNewestWins "cutoff_newest_wins" "S8: of several records on a target only the newest counts.";
    WithdrawForgotten "withdraw_forgotten" "S3: a withdrawal leaves the entitlement usable.";
    StaleStillServed "stale_still_served" "S12: a strict policy serves past the lease.";
    ExpiryNotChecked "expiry_not_checked" "S15: a token past its end is allowed.";
    ExpiryOnEarliest "expiry_on_earliest" "S15: the end of a token is judged on the earliest time that it can be.";
    SessionNotMatched "session_not_matched" "S8: records on sessions match nothing.";
    GrantBeforeAppend "grant_before_append" "S1: leases are granted before the tick is known to be appended.";
    AcceptBeforeCommit "accept_before_commit" "S1, S4: a directive is called accepted when it is ordered, not when it is stored.";
    TickOfOrdered "tick_of_ordered" "S9, L2: a tick names the digest of what is in flight.";
    DepsForgotten "deps_forgotten" "S4: a grant entry does not name the denies before it.";
    IdempotencyForgotten "idempotency_forgotten" "L4: a repeated directive has a second effect.";
    EnforcedWithoutFence "enforced_without_fence" "S2: a change is called enforced although runs that did not apply it may still be fresh.";
    FenceIgnoresDrift "fence_ignores_drift" "S2: the fence leaves out that clocks run apart.";
    BlindForgotten "blind_forgotten" "S2: a new writer claims at once, as if nobody held a lease of the writer before.";
    NeverEnforced "never_enforced" "L5: silent runs are never fenced.";
    GateOpen "gate_open" "L5: a run that was never heard is granted a lease.";
}

/// Whether this rule is broken now: never, without the cargo feature.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
#[inline]
pub const fn active(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "seeded-bugs")]
mod setting {
    use core::cell::Cell;
    use std::sync::OnceLock;

    use super::Bug;

    std::thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Breaks a rule in the whole process: for a run of the unit tests.
    const VARIABLE: &str = "RESCIND_SEEDED_BUG";

    fn everywhere() -> Option<Bug> {
        static EVERYWHERE: OnceLock<Option<Bug>> = OnceLock::new();
        *EVERYWHERE.get_or_init(|| {
            let name = std::env::var(VARIABLE).ok()?;
            Bug::ALL.iter().copied().find(|bug| bug.name() == name)
        })
    }

    /// Whether this rule is broken now on this thread.
    #[must_use]
    pub fn active(bug: Bug) -> bool {
        ACTIVE.get().or_else(everywhere) == Some(bug)
    }

    /// Breaks this rule, and no other, on this thread; `None`: none.
    pub fn set(bug: Option<Bug>) {
        ACTIVE.set(bug);
    }
}

#[cfg(feature = "seeded-bugs")]
pub use setting::{active, set};
