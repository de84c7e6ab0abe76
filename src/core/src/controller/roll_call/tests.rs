use super::*;
use crate::position::{EntryHash, Head};

fn held(deny: Position, grant: Position) -> Heads {
    let head = |position| Head { position, hash: EntryHash([7; 32]) };
    Heads { deny: head(deny), grant: head(grant) }
}

#[test]
fn a_roll_call_ends_when_all_have_spoken_or_in_time() {
    let agent = |name: &str| AgentId::new(name).unwrap();
    let mut call = RollCall::new(BootNs(0), [agent("a"), agent("b")], 1);
    call.handle_report(&agent("a"));
    call.handle_answer();
    assert!(!call.is_over(BootNs(0)));
    assert!(call.is_over(call.until()));
    call.handle_report(&agent("b"));
    assert!(call.is_over(BootNs(0)));
}

#[test]
fn claims_are_met_by_revision_and_forgone_by_epoch() {
    let mut claims = Claims::default();
    claims.note(&held(Position::new(1, 7), Position::new(1, 2)));
    claims.note(&held(Position::new(1, 5), Position::new(1, 9)));
    let log = |deny, grant| move |lane| if lane == Lane::Deny { deny } else { grant };
    let ours = log(Position::new(1, 6), Position::new(1, 9));
    assert_eq!(claims.beyond(ours), Some((Lane::Deny, Position::new(1, 7))));
    let ours = log(Position::new(1, 7), Position::new(1, 8));
    assert_eq!(claims.beyond(ours), Some((Lane::Grant(0), Position::new(1, 9))));
    assert_eq!(claims.beyond(log(Position::new(2, 8), Position::new(2, 10))), None);
    claims.forgo(Epoch(2));
    claims.note(&held(Position::new(1, 99), Position::new(1, 99)));
    let ours = log(Position::new(2, 7), Position::new(2, 8));
    assert_eq!(claims.beyond(ours), None, "what was lost stays lost");
    claims.note(&held(Position::new(2, 99), Position::new(1, 99)));
    assert_eq!(claims.beyond(ours), Some((Lane::Deny, Position::new(2, 99))));
}
