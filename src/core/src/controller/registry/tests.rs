use proptest::prelude::*;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::agent::tests::support::{ask, directive, grant_ask, holder, lift, user};
use crate::ids::EmitterId;
use crate::position::{Lane, Position};
use crate::target::Target;

const NOW: UnixMs = UnixMs(1_700_000_000_500);
const SECOND: UnixS = UnixS(1_700_000_000);

/// A registry and the ids that it gives out.
struct Desk {
    registry: Registry,
    revisions: [u64; 2],
    changes: Vec<Change>,
}

impl Desk {
    fn new() -> Self {
        Self { registry: Registry::new(KeyHasher::new([1; 16])), revisions: [0; 2], changes: Vec::new() }
    }

    fn check(&mut self, directive: &Directive) -> Result<(RecordId, bool), Refusal> {
        let lane = directive.ask.lane();
        let revision = &mut self.revisions[usize::from(lane.number())];
        let next = RecordId::new(lane, Position::new(1, *revision + 1)).unwrap();
        match self.registry.check(directive, next, NOW)? {
            Checked::Existing(id) => Ok((id, true)),
            Checked::New(body) => {
                *revision += 1;
                let origin = directive.origin.clone();
                let change = Change { id: next, origin, reason_admin_sha256: None, body };
                self.registry.apply(&change, NOW).unwrap();
                self.changes.push(change);
                Ok((next, false))
            }
        }
    }

    fn ask(&mut self, key: &str, asked: Ask) -> Result<RecordId, Refusal> {
        self.check(&directive(key, asked)).map(|(id, _)| id)
    }
}

#[test]
fn d16_a_repeat_gets_the_same_id_and_another_ask_is_refused() {
    let mut desk = Desk::new();
    let first = directive("k", ask(RecordKind::Disable, user(1)));
    let (id, _) = desk.check(&first).unwrap();
    assert_eq!(desk.check(&first), Ok((id, true)));
    let conflict = desk.ask("k", ask(RecordKind::Disable, user(2)));
    assert_eq!(conflict, Err(Refusal::IdempotencyConflict { id }));
    let mut other_emitter = first.clone();
    other_emitter.origin.emitter = EmitterId::new("hr").unwrap();
    assert!(!desk.check(&other_emitter).unwrap().1, "keys are per emitter");
    // Also once the record has ended.
    desk.ask("r", Ask::Reinstate { record: id }).unwrap();
    assert_eq!(desk.check(&first), Ok((id, true)));
}

#[test]
fn d16_holds_after_a_replay_of_the_log_whatever_the_clock_filled_in() {
    let mut desk = Desk::new();
    let hold = desk.ask("h", ask(RecordKind::Hold, user(1))).unwrap();
    let asks = [
        directive("a", ask(RecordKind::Revoke, user(1))),
        directive("b", lift(hold, LiftCutoff::Now)),
        directive("c", grant_ask(1, "read")),
        directive("d", Ask::Record { kind: RecordKind::Revoke, target: user(2), cutoff: Some(UnixS(5)) }),
    ];
    let ids: Vec<_> = asks.iter().map(|asked| desk.check(asked).unwrap().0).collect();
    let mut replayed = Registry::new(KeyHasher::new([2; 16]));
    desk.changes.iter().for_each(|change| replayed.apply(change, NOW).unwrap());
    let next = RecordId::new(Lane::Deny, Position::new(1, 99)).unwrap();
    for (asked, id) in asks.iter().zip(&ids) {
        assert_eq!(replayed.check(asked, next, NOW), Ok(Checked::Existing(*id)));
        assert_eq!(replayed.repeated(asked), Some(*id));
    }
    let other = directive("b", lift(hold, LiftCutoff::Resume));
    assert!(matches!(replayed.check(&other, next, NOW), Err(Refusal::IdempotencyConflict { .. })));
    let other =
        directive("d", Ask::Record { kind: RecordKind::Revoke, target: user(2), cutoff: Some(UnixS(6)) });
    assert!(matches!(replayed.check(&other, next, NOW), Err(Refusal::IdempotencyConflict { .. })));
    assert_eq!(replayed.digest(), desk.registry.digest());
}

#[test]
fn idempotency_keys_are_bounded_oldest_first() {
    let mut registry = Registry::with_keys_max(KeyHasher::new([1; 16]), 2);
    let asks: Vec<_> = (0..3).map(|n| directive(&format!("k{n}"), ask(RecordKind::Hold, user(n)))).collect();
    for (asked, revision) in asks.iter().zip(1..) {
        let id = RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap();
        let Ok(Checked::New(body)) = registry.check(asked, id, NOW) else { panic!("new") };
        let change = Change { id, origin: asked.origin.clone(), reason_admin_sha256: None, body };
        registry.apply(&change, NOW).unwrap();
    }
    assert_eq!(registry.repeated(&asks[0]), None);
    assert!(registry.repeated(&asks[1]).is_some() && registry.repeated(&asks[2]).is_some());
}

#[test]
fn cutoffs_default_to_this_second_and_never_lie_ahead() {
    let mut desk = Desk::new();
    let id = desk.ask("a", ask(RecordKind::Disable, user(1))).unwrap();
    assert_eq!(desk.registry.record(id).unwrap().record.cutoff, Some(SECOND));
    let at = |second| Ask::Record { kind: RecordKind::Revoke, target: user(1), cutoff: Some(UnixS(second)) };
    assert!(desk.ask("b", at(SECOND.0 + 60)).is_ok());
    assert_eq!(desk.ask("c", at(SECOND.0 + 61)), Err(Refusal::CutoffAhead));
    let hold = desk.ask("d", ask(RecordKind::Hold, user(1))).unwrap();
    assert_eq!(desk.ask("e", lift(hold, LiftCutoff::At(UnixS(i64::MAX)))), Err(Refusal::CutoffAhead));
}

#[test]
fn ends_name_what_is_wrong() {
    let mut desk = Desk::new();
    let revoke = desk.ask("a", ask(RecordKind::Revoke, user(1))).unwrap();
    let disable = desk.ask("b", ask(RecordKind::Disable, user(1))).unwrap();
    let hold = desk.ask("c", ask(RecordKind::Hold, user(1))).unwrap();
    let tomb = desk.ask("t", ask(RecordKind::Revoke, Target::TokenHash([1; 32]))).unwrap();
    let unknown = RecordId::new(Lane::Deny, Position::new(1, 77)).unwrap();
    let mut code = |asked| desk.ask("x", asked).unwrap_err().code();
    assert_eq!(code(lift(unknown, LiftCutoff::Resume)), "unknown_record");
    assert_eq!(code(lift(revoke, LiftCutoff::Resume)), "cannot_lift");
    assert_eq!(code(lift(tomb, LiftCutoff::Resume)), "cannot_lift");
    assert_eq!(code(lift(disable, LiftCutoff::Resume)), "cannot_lift");
    assert_eq!(code(Ask::Reinstate { record: hold }), "cannot_reinstate");
    assert_eq!(code(Ask::Withdraw { entitlement: unknown }), "unknown_entitlement");
    assert_eq!(code(ask(RecordKind::Kill, user(1))), "bad_target");
    desk.ask("y", lift(hold, LiftCutoff::Resume)).unwrap();
    assert_eq!(desk.ask("z", lift(hold, LiftCutoff::Resume)), Err(Refusal::AlreadyEnded { id: hold }));
    let long =
        Directive { reason_admin: Some("x".repeat(1025).into()), ..directive("l", grant_ask(1, "read")) };
    assert_eq!(desk.check(&long), Err(Refusal::ReasonTooLong { bytes: 1025 }));
}

#[test]
fn an_entitlement_that_is_held_already_is_success_without_a_second_effect() {
    let mut desk = Desk::new();
    let id = desk.ask("a", grant_ask(1, "read")).unwrap();
    let again = directive("b", grant_ask(1, "read"));
    assert_eq!(desk.check(&again), Ok((id, true)));
    assert_ne!(desk.ask("c", grant_ask(1, "write")), Ok(id));
    desk.ask("d", Ask::Withdraw { entitlement: id }).unwrap();
    assert_eq!(desk.check(&again), Ok((id, true)), "a late repeat gives nothing back");
    let (fresh, existing) = desk.check(&directive("e", grant_ask(1, "read"))).unwrap();
    assert!(fresh != id && !existing);
    assert_eq!(desk.registry.by_holder(&holder(1)).len(), 3);
}

#[test]
fn queries_page_through_everything_once() {
    let mut desk = Desk::new();
    let ids: Vec<_> =
        (0..25).map(|n| desk.ask(&format!("k{n}"), ask(RecordKind::Hold, user(n % 5))).unwrap()).collect();
    for id in &ids[..10] {
        desk.ask(&format!("l{id}"), lift(*id, LiftCutoff::Resume)).unwrap();
    }
    let pages = |filter: &RecordFilter| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = desk.registry.records(filter, after, 4);
            seen.extend(page.rows.iter().map(|row| row.record.id));
            match page.next {
                Some(next) => after = Some(next),
                None => return seen,
            }
        }
    };
    assert_eq!(pages(&RecordFilter::default()), ids);
    assert_eq!(pages(&RecordFilter { active_only: true, ..RecordFilter::default() }), ids[10..]);
    let ir = RecordFilter { emitter: Some(EmitterId::new("ir").unwrap()), ..RecordFilter::default() };
    assert_eq!(pages(&ir), ids);
    let other = RecordFilter { emitter: Some(EmitterId::new("hr").unwrap()), ..RecordFilter::default() };
    assert!(pages(&other).is_empty());
    let target = RecordFilter { target: Some(user(2)), ..RecordFilter::default() };
    assert_eq!(pages(&target), [ids[2], ids[7], ids[12], ids[17], ids[22]]);
    assert_eq!(desk.registry.by_target(&user(2)).len(), 5, "L2: each is a record of its own");
}

/// What a registry must be, in the plainest form: the list of records with their states.
#[derive(Debug, Default)]
struct Model {
    records: BTreeMap<RecordId, (RecordKind, u64, Option<UnixS>, RecordState)>,
    held: BTreeSet<(RecordId, u64)>,
}

impl Model {
    fn note(&mut self, id: RecordId, asked: &Ask, user: u64) {
        match asked {
            Ask::Record { kind, .. } => {
                let cutoff = matches!(kind, RecordKind::Revoke | RecordKind::Disable).then_some(SECOND);
                self.records.insert(id, (*kind, user, cutoff, RecordState::Active));
            }
            Ask::Lift { record, cutoff } => {
                let residual_cutoff = (*cutoff == LiftCutoff::Now).then_some(SECOND);
                self.records.get_mut(record).unwrap().3 = RecordState::Ended { residual_cutoff };
            }
            Ask::Reinstate { record } => {
                let row = self.records.get_mut(record).unwrap();
                row.3 = RecordState::Ended { residual_cutoff: row.2 };
            }
            Ask::Grant { .. } => drop(self.held.insert((id, user))),
            Ask::Withdraw { entitlement } => self.held.retain(|(id, _)| id != entitlement),
        }
    }

    fn may(&self, asked: &Ask) -> bool {
        let active = |id: &RecordId, kinds: &[RecordKind]| {
            self.records.get(id).is_some_and(|row| row.3 == RecordState::Active && kinds.contains(&row.0))
        };
        match asked {
            Ask::Record { .. } | Ask::Grant { .. } => true,
            Ask::Lift { record, .. } => active(record, &[RecordKind::Hold, RecordKind::Kill]),
            Ask::Reinstate { record } => active(record, &[RecordKind::Disable]),
            Ask::Withdraw { entitlement } => self.held.iter().any(|(id, _)| id == entitlement),
        }
    }

    /// Whether a credential of this user, issued at that second, is dead by any record (D1).
    fn denies(&self, user: u64, issued: UnixS) -> bool {
        self.records.values().filter(|row| row.1 == user).any(|(kind, _, cutoff, state)| match state {
            RecordState::Active => *kind != RecordKind::Revoke || *cutoff >= Some(issued),
            RecordState::Ended { residual_cutoff } => *residual_cutoff >= Some(issued),
        })
    }
}

fn view_denies(registry: &Registry, target: &Target, issued: UnixS) -> bool {
    let key = registry.view().hasher().target(target);
    let standing = registry.view().standing(target.kind(), key);
    standing.iter().any(|standing| standing.active || standing.cuts(Some(issued)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// D1, L2, D3, D4, D16 against the model; snapshots and replays come to the same state (S9).
    #[test]
    fn the_registry_is_the_model(steps in proptest::collection::vec((0_u8..7, 0_u64..3, any::<prop::sample::Index>()), 1..60)) {
        let (mut desk, mut model) = (Desk::new(), Model::default());
        for (step, (what, user_id, index)) in steps.iter().enumerate() {
            let records: Vec<_> = model.records.keys().copied().collect();
            let held: Vec<_> = model.held.iter().map(|(id, _)| *id).collect();
            let named = |ids: &[RecordId]| if ids.is_empty() { "deny-1-4000".parse().unwrap() } else { *index.get(ids) };
            let asked = match what {
                0 => ask(RecordKind::Disable, user(*user_id)),
                1 => ask(RecordKind::Hold, user(*user_id)),
                2 => ask(RecordKind::Revoke, user(*user_id)),
                3 => lift(named(&records), if *user_id == 0 { LiftCutoff::Now } else { LiftCutoff::Resume }),
                4 => Ask::Reinstate { record: named(&records) },
                5 => grant_ask(*user_id, &format!("act{step}")),
                _ => Ask::Withdraw { entitlement: named(&held) },
            };
            let directive = directive(&format!("k{step}"), asked.clone());
            let outcome = desk.check(&directive);
            prop_assert_eq!(outcome.is_ok(), model.may(&asked), "{:?}: {:?}", asked, outcome);
            if let Ok((id, existing)) = outcome {
                prop_assert!(!existing);
                model.note(id, &asked, *user_id);
                prop_assert_eq!(desk.check(&directive), Ok((id, true)), "D16");
            }
        }
        for (id, row) in &model.records {
            prop_assert_eq!(desk.registry.record(*id).unwrap().state, row.3);
        }
        for user_id in 0..3 {
            for issued in [UnixS(0), SECOND, UnixS(SECOND.0 + 1)] {
                let denied = view_denies(&desk.registry, &user(user_id), issued);
                prop_assert_eq!(denied, model.denies(user_id, issued), "user {} at {:?}", user_id, issued);
            }
        }
        let mut restored = View::new(KeyHasher::new([8; 16]));
        desk.registry.items().for_each(|item| restored.restore(&item).unwrap());
        prop_assert_eq!(restored.digest(), desk.registry.digest(), "a snapshot is the same state");
        let mut replayed = Registry::new(KeyHasher::new([7; 16]));
        desk.changes.iter().for_each(|change| replayed.apply(change, NOW).unwrap());
        prop_assert_eq!(replayed.digest(), desk.registry.digest(), "a replay is the same state");
    }
}
