//! The guarantees by their ids. Source: docs/protocol.md section 1.

use core::fmt;

macro_rules! guarantees {
    ($($name:ident $checked:literal $text:literal;)*) => {
        /// A guarantee of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Guarantee {
            $(#[doc = $text] $name,)*
        }

        impl Guarantee {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The id, `S1` to `S18` and `L1` to `L8`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it promises, in one sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether a trace can show that it was broken.
            #[must_use]
            pub const fn is_checked(self) -> bool {
                match self { $(Self::$name => $checked,)* }
            }
        }
    };
}

guarantees! {
    S1 true "bounded staleness: B after a change was accepted nobody is fresh without it";
    S2 true "truthful `enforced`: no strict agent still allows what the ledger calls enforced";
    S3 true "prefix: what is allowed comes from exactly the first n changes of the chain";
    S4 true "no new enemy: an allow that uses a grant was made on every revoke accepted before it was asked for";
    S5 true "monotone: a position never goes back, nor below what was acknowledged as durable";
    S6 true "no resurrection: what was taken away stays away through restarts, roll-backs and epochs";
    S7 true "authentic: every effect comes from a valid signature in scope; releases need two principals";
    S8 true "deny dominates: a record in the prefix that matches denies until it is lifted";
    S9 true "deterministic: equal positions are equal states";
    S10 true "truthful receipts: applied is seen by later decisions, durable is on disk";
    S11 true "read your writes: an answer is at or after the position that was asked for";
    S12 true "fail closed: no allow without a lease that was asked for after start and faults";
    S13 true "one history: never two changes at one position, no effect of a deposed writer";
    S14 true "clean-up is safe: what is forgotten can match no valid token";
    S15 true "time: validity is judged on the controller's time";
    S16 true "no secret on bus, disk, log or metric";
    S17 true "isolation: a record touches nothing but what it names";
    S18 false "every accepted change has an inclusion proof";
    L1 true "applied everywhere connected within B";
    L2 true "fresh again soon after a heal";
    L3 true "four lost renewals in a row expire nobody";
    L4 true "a publish ends within its deadline; a retry has exactly one effect";
    L5 true "`enforced` follows `accepted` within B(1+rho), even if every agent is dead";
    L6 true "a poisoned change can be healed from the centre";
    L7 true "corruption ends in a re-bootstrap, never in a crash loop";
    L8 true "equal digests at most ten seconds after all faults heal";
}

impl Guarantee {
    /// Where it is promised.
    #[must_use]
    pub const fn source(self) -> &'static str {
        "docs/protocol.md section 1"
    }

    /// The guarantee with this id, in any case.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.id().eq_ignore_ascii_case(id))
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
