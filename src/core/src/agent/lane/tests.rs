use super::*;
use crate::agent::tests::support::Author;
use crate::position::Head;

#[test]
fn heads_behind_are_compared_as_long_as_they_are_remembered() {
    let mut author = Author::new();
    let mut lane = LaneState::new(Lane::Deny, Head::default());
    let mut heads = vec![author.heads.deny];
    for id in 0..RECENT_HEADS_MAX as u64 + 10 {
        lane.offer(author.deny(id), Source::Live);
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
    assert_eq!(lane.offer(entry.clone(), Source::Live), Offered::Buffered);
    assert_eq!(lane.offer(entry, Source::Live), Offered::Known);
    assert_eq!(lane.offer(other.deny(2), Source::Live), Offered::Fork(Revision(2)));
}

fn fill(lane: &mut LaneState) {
    while let Next::Entry(entry) = lane.take_next(Position::default()) {
        lane.advance(Head { position: entry.entry.last(), hash: entry.hash });
    }
}

/// A deposed writer's second entry, the fence of the next epoch in its place, and what both continue.
fn deposed() -> (crate::entry::ChainedEntry, crate::entry::ChainedEntry, crate::entry::ChainedEntry) {
    let mut author = Author::new();
    let first = author.deny(1);
    let mut deposed = author.clone();
    let fence = author.fence(Lane::Deny, 2);
    (first, deposed.deny(2), fence)
}

#[test]
fn of_two_epochs_at_one_place_the_higher_wins_whatever_the_order() {
    let (first, straggler, fence) = deposed();
    for entries in [[straggler.clone(), fence.clone()], [fence.clone(), straggler]] {
        let mut lane = LaneState::new(Lane::Deny, Head::default());
        for entry in entries {
            assert!(!matches!(lane.offer(entry, Source::Live), Offered::Fork(_)));
        }
        lane.offer(first.clone(), Source::Range);
        lane.note_epoch(Epoch(2));
        fill(&mut lane);
        assert_eq!(lane.applied().hash, fence.hash);
    }
}

#[test]
fn a_straggler_is_not_applied_once_a_later_epoch_is_known() {
    let (first, straggler, fence) = deposed();
    let mut lane = LaneState::new(Lane::Deny, Head::default());
    lane.offer(first.clone(), Source::Live);
    fill(&mut lane);
    lane.offer(straggler.clone(), Source::Live);
    lane.note_epoch(Epoch(2));
    assert!(matches!(lane.take_next(Position::default()), Next::None));
    assert!(lane.is_missing_next(), "what is history has to be asked for");
    lane.offer(fence.clone(), Source::Range);
    fill(&mut lane);
    assert_eq!(lane.applied().hash, fence.hash);
    assert_eq!(lane.offer(straggler, Source::Live), Offered::Known, "nor does it fork anybody afterwards");
}

#[test]
fn entries_of_earlier_epochs_are_applied_when_they_come_as_history() {
    let (first, second, _) = deposed();
    let mut lane = LaneState::new(Lane::Deny, Head::default());
    lane.note_epoch(Epoch(2));
    lane.offer(second.clone(), Source::Live);
    lane.offer(first, Source::Range);
    fill(&mut lane);
    assert_eq!(lane.applied().position.revision, Revision(1), "the second is not vouched for yet");
    lane.offer(second.clone(), Source::Range);
    fill(&mut lane);
    assert_eq!(lane.applied().hash, second.hash);
}
