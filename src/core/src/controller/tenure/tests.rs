use super::*;
use crate::agent::tests::support::chain;
use crate::digest::StateDigest;
use crate::position::{Heads, Revision};

fn at(ms: u64) -> BootNs {
    BootNs(ms * 1_000_000)
}

fn tick(boot: u8, epoch: u32, said_ms: i64) -> Tick {
    Tick {
        chain: chain(),
        epoch: Epoch(epoch),
        heads: Heads::default(),
        digest: StateDigest::default(),
        lease_ms: 5_000,
        controller_time: UnixMs(said_ms),
        nonce_root: [0; 32],
        floor: Revision(1),
        controller: ControllerId::new("c1").unwrap(),
        boot: InstanceId([boot; 16]),
    }
}

#[test]
fn silence_ends_a_tenure_and_ticks_prolong_it() {
    let mut tenure = Tenure::new(Duration::from_millis(500), at(0));
    assert_eq!(tenure.due(), at(3_500), "nobody was heard");
    tenure.handle_tick(at(1_000), &tick(1, 1, 10));
    assert_eq!(tenure.due(), at(4_500));
    assert!(tenure.is_heard(at(3_900)) && !tenure.is_heard(at(4_000)));
    tenure.handle_tick(at(2_000), &tick(1, 1, 20));
    assert_eq!(tenure.due(), at(5_500));
    tenure.ask();
    assert_eq!(tenure.due(), at(0), "a person asked");
    tenure.restart(at(9_000));
    assert_eq!(tenure.due(), at(12_500));
}

#[test]
fn replayed_ticks_keep_nobody_in_office() {
    let mut tenure = Tenure::new(Duration::ZERO, at(0));
    tenure.handle_tick(at(1_000), &tick(1, 2, 10));
    tenure.handle_tick(at(3_000), &tick(1, 2, 10));
    tenure.handle_tick(at(3_100), &tick(2, 1, 99));
    assert_eq!(tenure.due(), at(4_000));
    assert_eq!(tenure.epoch(), Epoch(2));
    tenure.handle_tick(at(3_200), &tick(2, 3, 1));
    assert_eq!((tenure.due(), tenure.epoch()), (at(6_200), Epoch(3)), "a new writer's clock may be behind");
}
