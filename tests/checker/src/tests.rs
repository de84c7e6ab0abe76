//! Every guarantee: a trace that breaks it, and one that differs in that point only and does not.

mod liveness;
mod safety;

use rescind_core::digest::StateDigest;
use rescind_core::ids::RecordId;
use rescind_core::position::{EntryHash, Epoch, Head, Heads, Lane, Position, Revision};

use crate::*;

const S: Nanos = 1_000_000_000;
const MS: Nanos = 1_000_000;
const RUN: Run = Run { agent: 1, run: 1 };
const BY: Writer = Writer { controller: 1, run: 1 };
const ALICE: Subject = Subject(7);

fn deny_id(revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap()
}

fn grant_id(revision: u64) -> RecordId {
    RecordId::new(Lane::Grant(0), Position::new(1, revision)).unwrap()
}

fn hash(lane: u8, revision: u64) -> EntryHash {
    if revision == 0 {
        return EntryHash::default();
    }
    let mut hash = [lane + 1; 32];
    hash[0] = u8::try_from(revision).unwrap();
    EntryHash(hash)
}

fn head(lane: u8, revision: u64) -> Head {
    let position = if revision == 0 { Position::default() } else { Position::new(1, revision) };
    Head { position, hash: hash(lane, revision) }
}

fn heads(deny: u64, grant: u64) -> Heads {
    Heads { deny: head(0, deny), grant: head(1, grant) }
}

fn digest(deny: u64, grant: u64) -> StateDigest {
    StateDigest(u128::from(deny) * 1000 + u128::from(grant))
}

fn revoke() -> Effect {
    Effect::Deny { subject: ALICE, standing: true, cutoff: None }
}

fn may_read() -> Effect {
    Effect::Grant { subject: ALICE, right: 1 }
}

fn started(at: Nanos, heads: Heads) -> Event {
    Event::Started { at, run: RUN, strict: true, store: Store::Intact, heads }
}

/// A view with a lease that was asked for just before.
fn fresh(at: Nanos, deny: u64, grant: u64) -> Event {
    Event::Published {
        at,
        run: RUN,
        heads: heads(deny, grant),
        digest: Some(digest(deny, grant)),
        asked_at: Some(at),
        fresh_until: Some(at + 5 * S),
    }
}

fn stale(at: Nanos, deny: u64, grant: u64) -> Event {
    Event::Published {
        at,
        run: RUN,
        heads: heads(deny, grant),
        digest: Some(digest(deny, grant)),
        asked_at: None,
        fresh_until: None,
    }
}

/// Asked, in the stream, accepted: all at `at`.
fn accepted(at: Nanos, id: RecordId, effect: Effect) -> Vec<Event> {
    let (lane, ticket) = (id.lane(), id.packed());
    let (number, revision) = (if lane == Lane::Deny { 0 } else { 1 }, id.position().revision.0);
    vec![
        Event::Asked { at, ticket, key: ticket, deadline: at + S },
        Event::Entry { at, lane, last: id.position(), hash: hash(number, revision) },
        Event::Ordered { at, id, key: ticket, effect },
        Event::Answered { at, ticket, answer: Answer::Accepted { id, effect } },
    ]
}

fn decided(read: Nanos, allow: bool, deny: u64, grant: u64, request: Request) -> Event {
    Event::Decided(Box::new(Decision {
        run: RUN,
        began: read,
        read,
        request,
        allow,
        deny: head(0, deny).position,
        grant: head(1, grant).position,
        record: None,
    }))
}

fn alice() -> Request {
    Request { subjects: vec![ALICE], issued_at: Some(100), right: Some(1), ..Request::default() }
}

/// The guarantees that a trace breaks, each once.
fn broken(events: &[Event], until: Nanos) -> Vec<Guarantee> {
    let settings = Settings { sees_chain: true, sees_disk: true, ..Settings::default() };
    let mut checker = Checker::new("test", settings);
    events.iter().for_each(|event| checker.observe(event));
    checker.finish(until);
    let mut broken: Vec<_> = checker.violations().iter().map(|violation| violation.guarantee).collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

/// One trace breaks exactly this guarantee, the other nothing.
fn tells(guarantee: Guarantee, bad: &[Event], good: &[Event], until: Nanos) {
    assert_eq!(broken(good, until), [], "the good trace");
    assert_eq!(broken(bad, until), [guarantee], "the bad trace");
}

#[test]
fn ids_and_texts_are_complete() {
    assert_eq!(Guarantee::ALL.len(), 26);
    for one in Guarantee::ALL {
        assert_eq!(Guarantee::from_id(&one.id().to_lowercase()), Some(*one));
        assert!(!one.text().is_empty());
    }
    let unchecked: Vec<_> = Guarantee::ALL.iter().filter(|one| !one.is_checked()).collect();
    assert_eq!(unchecked, [&Guarantee::S18]);
}

#[test]
fn a_violation_names_trace_promise_and_events() {
    let mut checker = Checker::new("seed 42", Settings::default());
    checker.observe(&started(0, heads(0, 0)));
    checker.observe(&fresh(S, 2, 0));
    checker.observe(&fresh(2 * S, 1, 0));
    let text = checker.violations()[0].to_string();
    for part in
        ["S5 broken in seed 42", "2000.000 ms", "agent 1 run 1", "never goes back", "publishes deny 1/1"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}
