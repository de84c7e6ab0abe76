use super::*;
use crate::agent::tests::support::Author;
use crate::position::Head;

#[test]
fn heads_behind_are_compared_as_long_as_they_are_remembered() {
    let mut author = Author::new();
    let mut lane = LaneState::new(Lane::Deny, Head::default());
    let mut heads = vec![author.heads.deny];
    for id in 0..RECENT_HEADS_MAX as u64 + 10 {
        lane.offer(author.deny(id));
        while let Next::Entry(entry) = lane.take_next(Position::default()) {
            lane.advance(Head { position: entry.entry.last(), hash: entry.hash });
        }
        heads.push(author.heads.deny);
    }
    assert_eq!(lane.against(&heads[heads.len() - 1]), Against::At);
    assert_eq!(lane.against(&heads[heads.len() - 2]), Against::Past);
    assert_eq!(lane.against(&heads[5]), Against::Forgotten);
    assert_eq!(lane.against(&heads[0]), Against::Past, "the empty prefix is everybody's");
    let forged = Head { hash: heads[1].hash, ..heads[heads.len() - 3] };
    assert!(matches!(lane.against(&forged), Against::Fork(_)));
    author.deny(99_999);
    assert_eq!(lane.against(&author.heads.deny), Against::Behind);
}

#[test]
fn two_entries_for_one_buffered_place_are_a_fork() {
    let mut author = Author::new();
    author.deny(1);
    let mut other = author.clone();
    other.salt = 1;
    let mut lane = LaneState::new(Lane::Deny, Head::default());
    let entry = author.deny(2);
    assert_eq!(lane.offer(entry.clone()), Offered::Buffered);
    assert_eq!(lane.offer(entry), Offered::Known);
    assert_eq!(lane.offer(other.deny(2)), Offered::Fork(Revision(2)));
}
