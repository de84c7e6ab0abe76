//! Builders that the tests of both machines share.

use core::time::Duration;

use crate::agent::{AgentConfig, AgentMachine, AgentOutput};
use crate::change::{Ask, Change, ChangeBody, Directive, LiftCutoff, Origin};
use crate::digest::{ItemHasher, StateDigest};
use crate::entitlement::{ActionPattern, Entitlement, Holder, ResourcePattern, Right, Window};
use crate::entry::{ChainedEntry, Entry, Fence, Tick};
use crate::epoch::{Approval, EpochReason, EpochStart, LostHistory};
use crate::ids::{
    AgentId, ChainId, ControllerId, EmitterId, IdempotencyKey, InstanceId, RecordId, ServiceName,
};
use crate::key::KeyHasher;
use crate::lease::{LeaseGrant, Nonce};
use crate::position::{EntryHash, Epoch, Head, Heads, Lane, Position, Revision};
use crate::record::{Record, RecordKind};
use crate::target::Target;
use crate::time::{BootNs, UnixMs, UnixS};
use crate::view::View;

pub(crate) const GRANT: Lane = Lane::Grant(0);
pub(crate) const LEASE: Duration = Duration::from_secs(5);

pub(crate) fn ms(ms: u64) -> BootNs {
    BootNs(ms * 1_000_000)
}

pub(crate) fn chain() -> ChainId {
    ChainId::new("prod.1").unwrap()
}

pub(crate) fn user(id: u64) -> Target {
    Target::User { issuer: Some("https://idp".into()), id: format!("u{id}").into() }
}

pub(crate) fn holder(id: u64) -> Holder {
    Holder::User { issuer: "https://idp".into(), id: format!("u{id}").into() }
}

pub(crate) fn right(name: &str) -> Right {
    Right::Permission {
        action: ActionPattern::new(name).unwrap(),
        resource: ResourcePattern::new("*").unwrap(),
    }
}

pub(crate) fn origin(key: &str) -> Origin {
    Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new(key).unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    }
}

pub(crate) fn directive(key: &str, ask: Ask) -> Directive {
    Directive { origin: origin(key), reason_admin: None, ask }
}

pub(crate) fn ask(kind: RecordKind, target: Target) -> Ask {
    Ask::Record { kind, target, cutoff: None }
}

pub(crate) fn lift(record: RecordId, cutoff: LiftCutoff) -> Ask {
    Ask::Lift { record, cutoff }
}

pub(crate) fn grant_ask(id: u64, name: &str) -> Ask {
    Ask::Grant { holder: holder(id), right: right(name), tenant: None, window: Window::default() }
}

/// Stands for SHA-256 over the signed bytes: any difference in the entry gives another hash.
pub(crate) fn hash(entry: &Entry) -> EntryHash {
    let digest = ItemHasher::new(99).bytes(format!("{entry:?}").as_bytes()).finish();
    let mut sum = StateDigest::default();
    sum.add(digest);
    let mut hash = [7; 32];
    hash[..16].copy_from_slice(&sum.0.to_le_bytes());
    EntryHash(hash)
}

pub(crate) fn chained(entry: Entry) -> ChainedEntry {
    let hash = hash(&entry);
    ChainedEntry { entry, hash, message: None }
}

/// A controller that is always right: makes chained entries and the ticks that fit.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) heads: Heads,
    pub(crate) view: View,
    pub(crate) epoch: u32,
    pub(crate) salt: u64,
}

impl Author {
    pub(crate) fn new() -> Self {
        Self { heads: Heads::default(), view: View::new(KeyHasher::new([9; 16])), epoch: 1, salt: 0 }
    }

    pub(crate) fn next_id(&self, lane: Lane, ahead: u64) -> RecordId {
        let revision = self.heads.get(lane).unwrap().position.revision.0 + 1 + ahead;
        RecordId::new(lane, Position::new(self.epoch, revision)).unwrap()
    }

    pub(crate) fn entry(&mut self, lane: Lane, bodies: Vec<ChangeBody>) -> ChainedEntry {
        let head = *self.heads.get(lane).unwrap();
        let changes: Vec<Change> = bodies
            .into_iter()
            .zip(0..)
            .map(|(body, ahead)| Change {
                id: self.next_id(lane, ahead),
                origin: origin(&format!("{lane}-{}-{ahead}", head.position.revision)),
                reason_admin_sha256: None,
                body,
            })
            .collect();
        for change in &changes {
            // A change that does not fold is what some tests want; the author then keeps its own state.
            self.view.apply(change).ok();
        }
        let entry = chained(Entry {
            chain: chain(),
            epoch: Epoch(self.epoch),
            lane,
            first: head.position.revision.next(),
            changes,
            prev_hash: head.hash,
            deps: if lane == Lane::Deny { Position::default() } else { self.heads.deny.position },
            committed_at: UnixMs(1_000 + i64::try_from(self.salt).unwrap()),
            controller: ControllerId::new("c1").unwrap(),
            boot: InstanceId([1; 16]),
        });
        *self.heads.get_mut(lane).unwrap() = Head { position: entry.entry.last(), hash: entry.hash };
        entry
    }

    /// Disables a user: one change, one entry.
    pub(crate) fn deny(&mut self, id: u64) -> ChainedEntry {
        let record = Record::new(self.next_id(Lane::Deny, 0), RecordKind::Disable, user(id), Some(UnixS(1)));
        self.entry(Lane::Deny, vec![ChangeBody::Record(record.unwrap())])
    }

    pub(crate) fn grant(&mut self, id: u64) -> ChainedEntry {
        let entitlement = Entitlement {
            id: self.next_id(GRANT, 0),
            holder: holder(id),
            right: right("read"),
            tenant: None,
            window: Window::default(),
        };
        self.entry(GRANT, vec![ChangeBody::Grant(entitlement)])
    }

    /// Begins an epoch in one lane.
    pub(crate) fn fence(&mut self, lane: Lane, epoch: u32) -> ChainedEntry {
        self.fence_with(lane, epoch, EpochStart::continuing(EpochReason::TakeOver))
    }

    /// Begins an epoch in one lane for this reason.
    pub(crate) fn fence_with(&mut self, lane: Lane, epoch: u32, start: EpochStart) -> ChainedEntry {
        self.epoch = epoch;
        let entry = Entry::fence(Fence {
            chain: chain(),
            epoch: Epoch(epoch),
            lane,
            after: *self.heads.get(lane).unwrap(),
            deps: if lane == Lane::Deny { Position::default() } else { self.heads.deny.position },
            start,
            committed_at: UnixMs(1_000 + i64::try_from(self.salt).unwrap()),
            controller: ControllerId::new("c1").unwrap(),
            boot: InstanceId([1; 16]),
        });
        let entry = chained(entry.unwrap());
        *self.heads.get_mut(lane).unwrap() = Head { position: entry.entry.last(), hash: entry.hash };
        entry
    }

    /// Begins an epoch in every lane, in the order in which fences go out.
    pub(crate) fn take_over(&mut self, epoch: u32) -> [ChainedEntry; 2] {
        [self.fence(GRANT, epoch), self.fence(Lane::Deny, epoch)]
    }

    /// Gives up what comes after the present heads, with two approvals that only `codec` looks into.
    pub(crate) fn give_up(&mut self, epoch: u32) -> [ChainedEntry; 2] {
        let approval =
            |name: &str| Approval { principal: EmitterId::new(name).unwrap(), statement: Box::default() };
        let lost = LostHistory {
            branch: self.heads,
            reason: "the backup is of yesterday".into(),
            approvals: [approval("dana"), approval("eve")],
        };
        let start = EpochStart::losing(lost);
        [self.fence_with(GRANT, epoch, start.clone()), self.fence_with(Lane::Deny, epoch, start)]
    }

    pub(crate) fn tick(&self) -> Tick {
        Tick {
            chain: chain(),
            epoch: Epoch(self.epoch),
            heads: self.heads,
            digest: self.view.digest(),
            lease_ms: 5_000,
            controller_time: UnixMs(1_000_000),
            nonce_root: [0; 32],
            floor: Revision(1),
            controller: ControllerId::new("c1").unwrap(),
            boot: InstanceId([1; 16]),
        }
    }

    pub(crate) fn lease_grant(&self, nonce: u8) -> LeaseGrant {
        LeaseGrant { nonce: Nonce([nonce; 16]), tick: self.tick() }
    }
}

pub(crate) fn agent_config(name: &str, instance: u8) -> AgentConfig {
    AgentConfig {
        agent: AgentId::new(name).unwrap(),
        instance: InstanceId([instance; 16]),
        service: ServiceName::new("payments").unwrap(),
        chain: chain(),
        lease: LEASE,
        stale_policy: "strict(5s)".into(),
        target_kinds: u32::MAX,
        version: "0.1.0".into(),
        report_every: Duration::from_secs(3),
    }
}

pub(crate) fn machine(now: BootNs) -> AgentMachine {
    AgentMachine::new(agent_config("a1", 1), 42, KeyHasher::new([3; 16]), None, now)
}

pub(crate) fn drain(machine: &mut AgentMachine) -> Vec<AgentOutput> {
    core::iter::from_fn(|| machine.poll_output()).collect()
}

/// Lets timers run until `until` and gives everything that came out.
pub(crate) fn run_until(machine: &mut AgentMachine, until: BootNs) -> Vec<AgentOutput> {
    let mut outputs = drain(machine);
    while let Some(at) = machine.poll_timeout().filter(|at| *at <= until) {
        machine.handle_timeout(at);
        outputs.extend(drain(machine));
    }
    machine.handle_timeout(until);
    outputs.extend(drain(machine));
    outputs
}

/// Asks and gets a grant at once: fresh from `now`.
pub(crate) fn make_fresh(machine: &mut AgentMachine, author: &Author, now: BootNs, nonce: u8) {
    machine.begin_lease(now, Nonce([nonce; 16]));
    machine.handle_grant(now, author.lease_grant(nonce));
}
