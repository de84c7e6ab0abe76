use proptest::prelude::*;

use crate::agent::tests::support::origin;
use crate::change::{Change, ChangeBody};
use crate::controller::registry::{Registry, Retention};
use crate::ids::RecordId;
use crate::key::KeyHasher;
use crate::position::{Lane, Position};
use crate::record::{Record, RecordKind};
use crate::target::Target;
use crate::time::{UnixMs, UnixS};
use crate::view::{FoldError, View};

const ISSUERS: [&str; 3] = ["https://short", "https://long", "https://undeclared"];
/// Seconds. The last issuer declares nothing; the model lets its tokens live for ever.
const LIFETIMES: [i64; 3] = [300, 3_600, i64::MAX / 4];
const LEEWAY: i64 = 60;

fn registry() -> Registry {
    let mut registry = Registry::new(KeyHasher::new([1; 16]));
    let mut retention = Retention::default();
    for (issuer, seconds) in ISSUERS.iter().zip(LIFETIMES).take(2) {
        retention.declare(issuer, core::time::Duration::from_secs(u64::try_from(seconds).unwrap()));
    }
    registry.set_retention(retention);
    registry
}

/// A token as an issuer makes it.
#[derive(Debug, Clone)]
struct Token {
    issuer: usize,
    user: u8,
    jti: u8,
    issued: i64,
    expires: i64,
}

fn target(what: u8, issuer: usize, name: u8) -> Target {
    let issuer = Box::from(ISSUERS[issuer]);
    let id = format!("{name}").into();
    match what {
        0 => Target::Token { issuer, jti: id },
        1 => Target::Session { issuer, sid: id },
        2 => Target::User { issuer: None, id },
        _ => Target::User { issuer: Some(issuer), id },
    }
}

/// Whether the records of this view deny the token, at whatever time.
fn denies(view: &View, token: &Token) -> bool {
    let issuer = token.issuer;
    let targets = [
        target(0, issuer, token.jti),
        target(1, issuer, token.jti),
        target(2, issuer, token.user),
        target(3, issuer, token.user),
    ];
    targets.iter().any(|target| {
        let key = view.hasher().target(target);
        let standing = view.standing(target.kind(), key);
        view.tombstone(target.kind(), key).is_some()
            || standing.iter().any(|standing| standing.active || standing.cuts(Some(UnixS(token.issued))))
    })
}

fn any_token() -> impl Strategy<Value = Token> {
    (0_usize..3, 0_u8..3, 0_u8..3, -4_000_i64..4_000, 0_i64..=100).prop_map(
        |(issuer, user, jti, at, share)| {
            let lifetime = LIFETIMES[issuer] / 100 * share;
            // Nobody revokes by name what is issued more than the skew of clocks later.
            let jti = if at > 60 { jti + 100 } else { jti };
            Token { issuer, user, jti, issued: 10_000 + at, expires: 10_000 + at + lifetime }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two registries take the same changes, one of them forgets. What the other one denies, the forgetful one
    /// denies too, or the token is refused by its `exp` with the longest leeway.
    #[test]
    fn d8_s14_no_token_that_was_dead_is_allowed_after_forgetting(
        steps in prop::collection::vec((0_u8..6, 0_u8..4, 0_usize..3, 0_u8..3, 0_i64..900, any::<prop::sample::Index>()), 1..40),
        tokens in prop::collection::vec(any_token(), 1..40),
    ) {
        let (mut forgetful, mut naive) = (registry(), Registry::new(KeyHasher::new([2; 16])));
        let mut follower = View::new(KeyHasher::new([3; 16]));
        let (mut now, mut revision, mut ended) = (10_000_i64, 0, 0_u32);
        let mut made: Vec<Record> = Vec::new();
        let mut next = || {
            revision += 1;
            RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap()
        };
        let change = |id, body| Change { id, origin: origin(&format!("k{id}")), reason_admin_sha256: None, body };
        for (what, kind, issuer, name, pause, index) in steps {
            now += pause;
            let at = UnixMs(now * 1_000);
            let body = if what < 4 || made.is_empty() {
                let named = target(what % 4, issuer, name);
                let is_user = matches!(named, Target::User { .. });
                let kind = match kind {
                    0 if is_user => RecordKind::Disable,
                    1 => RecordKind::Hold,
                    _ => RecordKind::Revoke,
                };
                let cutoff = (is_user && kind != RecordKind::Hold).then_some(UnixS(now));
                let record = Record::new(next(), kind, named, cutoff).unwrap();
                made.push(record.clone());
                let id = record.id;
                change(id, ChangeBody::Record(record))
            } else {
                let Record { id: record, kind, target, .. } = index.get(&made).clone();
                let cutoff = (what == 4).then_some(UnixS(now));
                let body = match kind {
                    RecordKind::Disable => ChangeBody::Reinstate { record, target },
                    _ => ChangeBody::Lift { record, target, cutoff },
                };
                change(next(), body)
            };
            // Ends of what has ended, or cannot, fold nowhere.
            if naive.apply(&body, at).is_ok() {
                forgetful.apply(&body, at).unwrap();
                follower.apply(&body).unwrap();
            }
            let due: Vec<_> = forgetful.forgettable(at, 7).map(|row| row.record.clone()).collect();
            for record in due {
                let forget = change(next(), ChangeBody::Forget { record: record.id, target: record.target });
                forgetful.apply(&forget, at).unwrap();
                follower.apply(&forget).unwrap();
                ended += 1;
            }
            prop_assert_eq!(follower.digest(), forgetful.digest(), "agents follow to the same state");
            for token in tokens.iter().filter(|token| token.issued <= now) {
                let is_expired = now >= token.expires + LEEWAY;
                let (was, is) = (denies(naive.view(), token), denies(forgetful.view(), token));
                prop_assert!(!was || is || is_expired, "{token:?} at {now} after {ended} were forgotten");
                prop_assert!(!is || was, "forgetting denies nothing new");
            }
        }
        let mut restored = View::new(KeyHasher::new([4; 16]));
        forgetful.items().for_each(|item| restored.restore(&item).unwrap());
        prop_assert_eq!(restored.digest(), forgetful.digest(), "a snapshot is the same state");
    }
}

#[test]
fn d8_what_is_declared_is_forgotten_in_the_end_and_what_is_not_never() {
    let mut registry = registry();
    let mut revision = 0;
    for issuer in 0..3 {
        for what in 0..4 {
            for kind in [RecordKind::Revoke, RecordKind::Hold] {
                revision += 1;
                let id = RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap();
                let named = target(what, issuer, u8::try_from(revision).unwrap());
                let is_user = matches!(named, Target::User { .. });
                let cutoff = (is_user && kind == RecordKind::Revoke).then_some(UnixS(10));
                let record = Record::new(id, kind, named, cutoff).unwrap();
                let origin = origin(&format!("k{revision}"));
                let change =
                    Change { id, origin, reason_admin_sha256: None, body: ChangeBody::Record(record) };
                registry.apply(&change, UnixMs(10_000)).unwrap();
            }
        }
    }
    let of = |at_s: i64| registry.forgettable(UnixMs(at_s * 1_000), 100).count();
    // The longest lifetime, the leeway, the skew of the issuer, the distance of the clocks.
    assert_eq!((of(10 + 300 + 179), of(10 + 300 + 180)), (0, 2), "token and user of the short issuer");
    assert_eq!((of(10 + 3_600 + 179), of(10 + 3_600 + 180)), (2, 4), "and of the long one");
    assert_eq!(of(i64::MAX / 2_000), 4, "sessions, holds, users without issuer, the undeclared: never");
}

#[test]
fn s14_agents_refuse_to_forget_anything_else_than_they_hold() {
    let mut view = View::new(KeyHasher::new([1; 16]));
    let id = |revision| RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap();
    let add = |view: &mut View, revision, kind, target: Target, cutoff| {
        let record = Record::new(id(revision), kind, target, cutoff).unwrap();
        let body = ChangeBody::Record(record);
        view.apply(&Change { id: id(revision), origin: origin("k"), reason_admin_sha256: None, body })
            .unwrap();
    };
    add(&mut view, 1, RecordKind::Revoke, target(0, 0, 1), None);
    add(&mut view, 2, RecordKind::Revoke, target(1, 0, 1), None);
    add(&mut view, 3, RecordKind::Disable, target(3, 0, 1), Some(UnixS(5)));
    add(&mut view, 4, RecordKind::Hold, target(3, 0, 1), None);
    add(&mut view, 5, RecordKind::Revoke, target(2, 0, 1), Some(UnixS(5)));
    add(&mut view, 6, RecordKind::Revoke, target(0, 0, 1), None);
    let before = view.digest();
    let forget = |view: &mut View, revision, target| {
        let body = ChangeBody::Forget { record: id(revision), target };
        view.apply_all(&[Change { id: id(99), origin: origin("f"), reason_admin_sha256: None, body }])
    };
    let refused = [
        (2, target(1, 0, 1), FoldError::WrongKind(id(2))),
        (3, target(3, 0, 1), FoldError::WrongKind(id(3))),
        (4, target(3, 0, 1), FoldError::WrongKind(id(4))),
        (5, target(2, 0, 1), FoldError::WrongKind(id(5))),
        (1, target(0, 0, 2), FoldError::Unknown(id(1))),
        (7, target(0, 0, 1), FoldError::Unknown(id(7))),
    ];
    for (revision, target, error) in refused {
        assert_eq!(forget(&mut view, revision, target), Err(error));
        assert_eq!(view.digest(), before);
    }
    // Two tombstones on one token: each goes by its own id.
    assert_eq!(forget(&mut view, 1, target(0, 0, 1)), Ok(()));
    assert_eq!(forget(&mut view, 1, target(0, 0, 1)), Err(FoldError::Unknown(id(1))));
    assert_eq!(forget(&mut view, 6, target(0, 0, 1)), Ok(()));
    assert_eq!(view.records(), 4);
}
