use super::*;
use crate::epoch::EpochReason;

fn fence(controller: &str, revision: u64) -> Option<Entry> {
    Entry::fence(Fence {
        chain: ChainId::new("prod.1").unwrap(),
        epoch: Epoch(2),
        lane: Lane::Deny,
        after: Head { position: Position::new(1, revision), hash: EntryHash([5; 32]) },
        deps: Position::default(),
        start: EpochStart::continuing(EpochReason::TakeOver),
        committed_at: UnixMs(1),
        controller: ControllerId::new(controller).unwrap(),
        boot: InstanceId([1; 16]),
    })
}

#[test]
fn a_fence_continues_its_lane_in_the_next_epoch() {
    let fence = fence("c2", 7).unwrap();
    assert_eq!(fence.last(), Position::new(2, 8));
    assert_eq!(fence.prev_hash, EntryHash([5; 32]));
    assert_eq!(fence.changes[0].id.to_string(), "deny-2-8");
    assert_eq!(fence.changes[0].origin.key.as_str(), "epoch-2-deny");
    assert_eq!(fence.fence_start().map(|start| start.reason), Some(EpochReason::TakeOver));
}

#[test]
fn only_an_entry_with_nothing_else_is_a_fence() {
    let mut fence = fence("c2", 7).unwrap();
    fence.changes.push(fence.changes[0].clone());
    assert_eq!(fence.fence_start(), None);
}

#[test]
fn there_is_no_fence_where_no_record_id_fits() {
    assert_eq!(fence("c2", (1 << 44) - 1), None);
}
