//! What an emitter may ask for. Source: semantics.md section 6 (brakes) and rule D18.

use core::fmt;

use thiserror::Error;

use crate::change::Ask;
use crate::record::RecordKind;
use crate::target::TargetKind;

/// A command word that rights name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the command of that name")]
pub enum Word {
    Revoke = 0,
    Disable = 1,
    Hold = 2,
    Kill = 3,
    Lift = 4,
    Reinstate = 5,
    Grant = 6,
    Withdraw = 7,
    Recover = 8,
}

impl Word {
    /// Every word.
    pub const ALL: [Self; 9] = [
        Self::Revoke,
        Self::Disable,
        Self::Hold,
        Self::Kill,
        Self::Lift,
        Self::Reinstate,
        Self::Grant,
        Self::Withdraw,
        Self::Recover,
    ];

    /// As it is typed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Disable => "disable",
            Self::Hold => "hold",
            Self::Kill => "kill",
            Self::Lift => "lift",
            Self::Reinstate => "reinstate",
            Self::Grant => "grant",
            Self::Withdraw => "withdraw",
            Self::Recover => "recover",
        }
    }

    /// The word that is typed so.
    #[must_use]
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.word() == text)
    }

    /// The word that makes records of this kind.
    #[must_use]
    pub const fn of_kind(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Revoke => Self::Revoke,
            RecordKind::Disable => Self::Disable,
            RecordKind::Hold => Self::Hold,
            RecordKind::Kill => Self::Kill,
        }
    }

    /// The word of an ask.
    #[must_use]
    pub const fn of_ask(ask: &Ask) -> Self {
        match ask {
            Ask::Record { kind, .. } => Self::of_kind(*kind),
            Ask::Lift { .. } => Self::Lift,
            Ask::Reinstate { .. } => Self::Reinstate,
            Ask::Grant { .. } => Self::Grant,
            Ask::Withdraw { .. } => Self::Withdraw,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of words. Empty by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WordSet(u16);

impl WordSet {
    /// No word.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Every word.
    #[must_use]
    pub fn all() -> Self {
        Word::ALL.into_iter().collect()
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, word: Word) -> Self {
        Self(self.0 | 1 << word as u8)
    }

    /// Whether it has this word.
    #[must_use]
    pub const fn has(self, word: Word) -> bool {
        self.0 & 1 << word as u8 != 0
    }

    /// Its words.
    pub fn iter(self) -> impl Iterator<Item = Word> {
        Word::ALL.into_iter().filter(move |word| self.has(*word))
    }

    /// One bit per word, by `Word as u8`.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Takes back [`Self::bits`]; `None` where a bit means no word of this version.
    #[must_use]
    pub fn from_bits(bits: u16) -> Option<Self> {
        (bits & !Self::all().0 == 0).then_some(Self(bits))
    }
}

impl FromIterator<Word> for WordSet {
    fn from_iter<I: IntoIterator<Item = Word>>(words: I) -> Self {
        words.into_iter().fold(Self::new(), Self::with)
    }
}

/// What an emitter may ask for. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights {
    /// Which commands.
    pub words: WordSet,
    /// Widest rung of the kill ladder that it may touch, 1 to 16; 0: none.
    pub rung_max: u8,
}

/// Why an ask is not within an emitter's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RightsError {
    /// The command is not among its words.
    #[error("this emitter may not `{word}`; ask an emitter that may, or have its rights widened")]
    Word {
        /// What was asked.
        word: Word,
    },
    /// The target is too wide.
    #[error(
        "`{target}` is rung {rung} of the kill ladder and this emitter reaches {rung_max}; \
         choose a narrower target or ask an emitter that reaches it"
    )]
    Rung {
        /// Word of the target's kind.
        target: &'static str,
        /// Its rung.
        rung: u8,
        /// The widest that is allowed.
        rung_max: u8,
    },
    /// It may end records, but not of this kind.
    #[error("this emitter may not end a `{word}`: who ends a record must be allowed to make it")]
    EndsOthers {
        /// Word of the record's kind.
        word: Word,
    },
}

impl Rights {
    /// Every command on every rung: for tests and break-glass.
    #[must_use]
    pub fn everything() -> Self {
        Self { words: WordSet::all(), rung_max: TargetKind::All.rung() }
    }

    /// Whether `ask` is allowed. `of` is the record that a lift or reinstate names; `None` where there is none,
    /// which is for the registry to refuse.
    ///
    /// INVARIANT (D18): ending a record needs the right to make it, so HR cannot lift the responders' kill.
    ///
    /// # Errors
    /// [`RightsError`] says what is missing; the caller refuses the directive.
    pub fn allows(&self, ask: &Ask, of: Option<(RecordKind, TargetKind)>) -> Result<(), RightsError> {
        let word = Word::of_ask(ask);
        if !self.words.has(word) {
            return Err(RightsError::Word { word });
        }
        match ask {
            Ask::Record { target, .. } => self.reaches(target.kind()),
            Ask::Lift { .. } | Ask::Reinstate { .. } => match of {
                Some((kind, target)) => {
                    let word = Word::of_kind(kind);
                    if !self.words.has(word) {
                        return Err(RightsError::EndsOthers { word });
                    }
                    self.reaches(target)
                }
                None => Ok(()),
            },
            Ask::Grant { .. } | Ask::Withdraw { .. } => Ok(()),
        }
    }

    const fn reaches(&self, target: TargetKind) -> Result<(), RightsError> {
        let (rung, rung_max) = (target.rung(), self.rung_max);
        if rung > rung_max {
            return Err(RightsError::Rung { target: target.word(), rung, rung_max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
