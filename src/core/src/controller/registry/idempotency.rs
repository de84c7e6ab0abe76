//! Which `(emitter, key)` was accepted as what (D16).

use std::collections::VecDeque;

use super::table::KeyTable;
use crate::change::{Ask, Change, ChangeBody, LiftCutoff, Origin};
use crate::digest::{ItemDigest, ItemHasher};
use crate::entitlement::{Entitlement, Holder, Membership, Right, Window};
use crate::ids::RecordId;
use crate::key::{Key, KeyHasher};
use crate::record::RecordKind;
use crate::seeded::{self, Bug};
use crate::target::Target;
use crate::time::UnixS;

/// Limit: keys that are remembered, about 250 MB. The oldest is forgotten first: a repeat that comes later than
/// the next two million changes has a second effect.
pub const IDEMPOTENCY_KEYS_MAX: usize = 2_000_000;

/// What an ask or a change asks, without the times that the controller filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    content: ItemDigest,
    cutoff: CutoffPrint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CutoffPrint {
    /// None belongs here, or the ask says "none".
    Without,
    /// The controller's clock decides.
    Clock,
    At(UnixS),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    id: RecordId,
    print: Print,
}

/// Keys in the order in which they came.
#[derive(Debug, Clone)]
pub(super) struct Idempotency {
    hasher: KeyHasher,
    known: KeyTable<Known>,
    order: VecDeque<Key>,
    keys_max: usize,
}

/// What is known of an `(emitter, key)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Never,
    Same(RecordId),
    Other(RecordId),
}

impl Idempotency {
    pub(super) const fn new(hasher: KeyHasher, keys_max: usize) -> Self {
        Self { hasher, known: KeyTable::new(), order: VecDeque::new(), keys_max }
    }

    fn key(&self, origin: &Origin) -> Key {
        self.hasher.idempotency(origin.emitter.as_str(), origin.key.as_str())
    }

    pub(super) fn seen(&self, origin: &Origin, ask: &Ask) -> Seen {
        match self.known.get(self.key(origin)) {
            _ if seeded::active(Bug::IdempotencyForgotten) => Seen::Never,
            None => Seen::Never,
            Some(known) if known.print.is_asked_by(&print_of_ask(ask)) => Seen::Same(known.id),
            Some(known) => Seen::Other(known.id),
        }
    }

    /// Remembers an accepted change. A change without effect of its own has no ask to repeat.
    pub(super) fn note_change(&mut self, change: &Change) {
        if let Some(print) = print_of_change(&change.body) {
            self.note(&change.origin, change.id, print);
        }
    }

    /// Remembers that an ask was answered with something that was there already.
    pub(super) fn note_existing(&mut self, origin: &Origin, ask: &Ask, id: RecordId) {
        self.note(origin, id, print_of_ask(ask));
    }

    fn note(&mut self, origin: &Origin, id: RecordId, print: Print) {
        let key = self.key(origin);
        if self.known.insert(key, Known { id, print }).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.keys_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(oldest);
        }
    }
}

impl Print {
    /// Whether `ask` asks for what this was accepted as. "Now" was then; it matches whatever it became.
    fn is_asked_by(&self, ask: &Self) -> bool {
        let cutoff = match (self.cutoff, ask.cutoff) {
            (CutoffPrint::At(_) | CutoffPrint::Clock, CutoffPrint::Clock) => true,
            (there, asked) => there == asked,
        };
        self.content == ask.content && cutoff
    }
}

fn print_of_ask(ask: &Ask) -> Print {
    match ask {
        Ask::Record { kind, target, cutoff } => {
            let by_clock = record_takes_cutoff(*kind, target).then_some(CutoffPrint::Clock);
            let cutoff = cutoff.map(CutoffPrint::At).or(by_clock).unwrap_or(CutoffPrint::Without);
            Print { content: record_content(*kind, target), cutoff }
        }
        Ask::Lift { record, cutoff } => Print {
            content: end_content(21, *record),
            cutoff: match cutoff {
                LiftCutoff::Resume => CutoffPrint::Without,
                LiftCutoff::Now => CutoffPrint::Clock,
                LiftCutoff::At(second) => CutoffPrint::At(*second),
            },
        },
        Ask::Reinstate { record } => {
            Print { content: end_content(22, *record), cutoff: CutoffPrint::Without }
        }
        Ask::Grant { holder, right, tenant, window } => Print {
            content: grant_content(holder, right, tenant.as_deref(), *window),
            cutoff: CutoffPrint::Without,
        },
        Ask::Withdraw { entitlement } => {
            Print { content: end_content(24, *entitlement), cutoff: CutoffPrint::Without }
        }
    }
}

fn print_of_change(body: &ChangeBody) -> Option<Print> {
    let at = |cutoff: Option<UnixS>| cutoff.map_or(CutoffPrint::Without, CutoffPrint::At);
    Some(match body {
        ChangeBody::Record(record) => {
            Print { content: record_content(record.kind, &record.target), cutoff: at(record.cutoff) }
        }
        ChangeBody::Lift { record, cutoff, .. } => {
            Print { content: end_content(21, *record), cutoff: at(*cutoff) }
        }
        ChangeBody::Reinstate { record, .. } => {
            Print { content: end_content(22, *record), cutoff: CutoffPrint::Without }
        }
        ChangeBody::Grant(Entitlement { holder, right, tenant, window, .. }) => Print {
            content: grant_content(holder, right, tenant.as_deref(), *window),
            cutoff: CutoffPrint::Without,
        },
        ChangeBody::Withdraw { entitlement, .. } => {
            Print { content: end_content(24, *entitlement), cutoff: CutoffPrint::Without }
        }
        ChangeBody::Forget { .. } | ChangeBody::Epoch(_) | ChangeBody::Skipped => return None,
    })
}

/// Whether the controller fills in a cutoff where none was asked.
pub(super) const fn record_takes_cutoff(kind: RecordKind, target: &Target) -> bool {
    matches!(kind, RecordKind::Revoke | RecordKind::Disable) && matches!(target, Target::User { .. })
}

fn record_content(kind: RecordKind, target: &Target) -> ItemDigest {
    // The typed form names kind and selector; which of two targets is meant is told apart by `kind` in front.
    let hasher = ItemHasher::new(20).number(kind as u64).number(target.kind() as u64);
    match target {
        Target::Token { issuer, jti: id }
        | Target::Session { issuer, sid: id }
        | Target::Key { issuer, kid: id }
        | Target::User { issuer: Some(issuer), id } => hasher.bytes(issuer.as_bytes()).bytes(id.as_bytes()),
        Target::TokenHash(hash) => hasher.bytes(hash),
        Target::User { issuer: None, id }
        | Target::Client { id }
        | Target::Tenant { id }
        | Target::Service { name: id } => hasher.bytes(id.as_bytes()),
        Target::All => hasher,
    }
    .finish()
}

fn end_content(tag: u8, id: RecordId) -> ItemDigest {
    ItemHasher::new(tag).number(id.packed()).finish()
}

fn grant_content(holder: &Holder, right: &Right, tenant: Option<&str>, window: Window) -> ItemDigest {
    let hasher = ItemHasher::new(23);
    let hasher = match holder {
        Holder::User { issuer, id } => hasher.number(0).bytes(issuer.as_bytes()).bytes(id.as_bytes()),
        Holder::Role(name) => hasher.number(1).bytes(name.as_bytes()),
        Holder::Group(name) => hasher.number(2).bytes(name.as_bytes()),
    };
    let hasher = match right {
        Right::Permission { action, resource } => {
            hasher.number(0).bytes(action.as_str().as_bytes()).bytes(resource.as_str().as_bytes())
        }
        Right::Member(Membership::Role(name)) => hasher.number(1).bytes(name.as_bytes()),
        Right::Member(Membership::Group(name)) => hasher.number(2).bytes(name.as_bytes()),
    };
    let hasher = match tenant {
        Some(tenant) => hasher.number(1).bytes(tenant.as_bytes()),
        None => hasher.number(0),
    };
    hasher
        .maybe(window.not_before.map(|second| second.0))
        .maybe(window.not_after.map(|second| second.0))
        .finish()
}
