//! What is written: a function of seed and number.

use std::sync::Arc;

use rescind_codec::{Identity, KeyCert, RealmPin, SecretKey, TrustBundle, encode_entry, issue_cert};
use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::decide::Published;
use rescind_core::digest::StateDigest;
use rescind_core::entry::Entry;
use rescind_core::ids::{ChainId, ControllerId, EmitterId, IdempotencyKey, InstanceId, RecordId};
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Epoch, Head, Heads, Lane, Position, Revision};
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::Target;
use rescind_core::time::UnixMs;
use rescind_core::view::View;

/// Something in the content cannot be made: a bug of the torture.
pub type Made<T> = Result<T, String>;

/// The content of one seed.
#[derive(Debug, Clone)]
pub struct Content {
    seed: u64,
    chain: ChainId,
    controller: ControllerId,
    emitter: EmitterId,
}

fn wrong(error: impl std::fmt::Display) -> String {
    format!("the content cannot be made: {error}")
}

impl Content {
    /// Of this seed.
    ///
    /// # Errors
    /// Never for names that are right.
    pub fn new(seed: u64) -> Made<Self> {
        Ok(Self {
            seed,
            chain: ChainId::new("torture.1").map_err(wrong)?,
            controller: ControllerId::new("c1").map_err(wrong)?,
            emitter: EmitterId::new("ir").map_err(wrong)?,
        })
    }

    /// The chain of everything.
    #[must_use]
    pub const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The change at a revision of the deny lane.
    ///
    /// # Errors
    /// The revision is no place.
    pub fn change(&self, revision: u64) -> Made<Change> {
        let id = RecordId::new(Lane::Deny, Position::new(1, revision)).ok_or_else(|| wrong("no place"))?;
        let issuer = "https://idp.example".into();
        let (kind, target) = match revision % 3 {
            0 => (
                RecordKind::Revoke,
                Target::Token { issuer, jti: format!("j{}-{revision}", self.seed).into() },
            ),
            1 => (RecordKind::Hold, Target::Client { id: format!("c{revision}").into() }),
            _ => (RecordKind::Revoke, Target::Session { issuer, sid: format!("s{revision}").into() }),
        };
        let record = Record::new(id, kind, target, None).map_err(wrong)?;
        let origin = Origin {
            emitter: self.emitter.clone(),
            key: IdempotencyKey::new(&format!("k{revision}")).map_err(wrong)?,
            requested_by: None,
            reason_code: None,
            incident: None,
            known_at: None,
        };
        Ok(Change { id, origin, reason_admin_sha256: None, body: ChangeBody::Record(record) })
    }

    /// Applies the change of a revision.
    ///
    /// # Errors
    /// It does not apply.
    pub fn apply(&self, view: &mut View, revision: u64) -> Made<()> {
        view.apply(&self.change(revision)?).map(drop).map_err(wrong)
    }

    /// Where an agent is after so many changes.
    #[must_use]
    pub fn heads(&self, revision: u64) -> Heads {
        let head = |revision: u64| Head {
            position: Position::new(u32::from(revision > 0), revision),
            hash: EntryHash([revision.to_le_bytes()[0]; 32]),
        };
        Heads { deny: head(revision), grant: head(revision / 2) }
    }

    /// What an agent stores after so many changes.
    #[must_use]
    pub fn published(&self, view: &View, revision: u64) -> Arc<Published> {
        Arc::new(Published::unsynced(view.clone(), self.heads(revision)))
    }

    /// Digest of the state after so many changes, whatever the keys of the view.
    ///
    /// # Errors
    /// A change does not apply.
    pub fn digest(&self, revision: u64) -> Made<StateDigest> {
        let mut view = View::new(KeyHasher::new([1; 16]));
        (1..=revision).try_for_each(|revision| self.apply(&mut view, revision))?;
        Ok(view.digest())
    }

    fn signer(&self) -> SecretKey {
        SecretKey::from_seed([2; 32])
    }

    /// The certificates that the log is judged by.
    ///
    /// # Errors
    /// Never.
    pub fn trust(&self) -> Made<TrustBundle> {
        let root = SecretKey::from_seed([1; 32]);
        let pin = RealmPin::new("torture", self.chain.clone(), root.public()).map_err(wrong)?;
        let cert = KeyCert {
            identity: Identity::Controller(self.controller.clone()),
            key: self.signer().public(),
            not_before: UnixMs(0),
            not_after: UnixMs(i64::MAX / 2),
        };
        TrustBundle::new(&pin, [issue_cert(&root, &pin, &cert)]).map_err(wrong)
    }

    /// How many changes an entry has: 1 to 3.
    const fn changes(&self, first: u64) -> u64 {
        1 + (self.seed ^ first) % 3
    }

    /// The signed entry that begins at `first`, behind `prev`.
    ///
    /// # Errors
    /// A change cannot be made.
    pub fn entry(&self, first: u64, prev: EntryHash) -> Made<SignedEntry> {
        let last = first + self.changes(first) - 1;
        let entry = Entry {
            chain: self.chain.clone(),
            epoch: Epoch(1),
            lane: Lane::Deny,
            first: Revision(first),
            changes: (first..=last).map(|revision| self.change(revision)).collect::<Made<_>>()?,
            prev_hash: prev,
            deps: Position::default(),
            committed_at: UnixMs(1_700_000_000_000),
            controller: self.controller.clone(),
            boot: InstanceId([7; 16]),
        };
        let (bytes, hash) = encode_entry(&entry, &self.signer());
        Ok(SignedEntry { first, last, hash, bytes })
    }

    /// Hash of the entry that ends at `revision`; `None` where none does.
    ///
    /// # Errors
    /// A change cannot be made.
    pub fn hash_at(&self, revision: u64) -> Made<Option<EntryHash>> {
        let (mut last, mut hash) = (0, EntryHash::default());
        while last < revision {
            let entry = self.entry(last + 1, hash)?;
            (last, hash) = (entry.last, entry.hash);
        }
        Ok((last == revision).then_some(hash))
    }
}

/// An entry as it is logged.
#[derive(Debug, Clone)]
pub struct SignedEntry {
    /// First revision.
    pub first: u64,
    /// Last revision.
    pub last: u64,
    /// Its hash.
    pub hash: EntryHash,
    /// The message.
    pub bytes: Vec<u8>,
}
