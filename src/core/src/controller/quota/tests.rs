use proptest::prelude::*;

use super::*;
use crate::agent::tests::support::{ask, directive, ms, user};
use crate::record::RecordKind;

fn emitter() -> EmitterId {
    EmitterId::new("ir").unwrap()
}

fn quotas(per_minute: u32, burst: u32) -> Quotas {
    let mut quotas = Quotas::default();
    quotas.set([(emitter(), Budget { per_minute, burst })]);
    quotas
}

#[test]
fn a_burst_passes_and_what_is_over_it_hears_when_to_come_back() {
    let (mut quotas, revoke) = (quotas(60, 3), directive("k", ask(RecordKind::Revoke, user(1))));
    for _ in 0..3 {
        assert_eq!(quotas.charge(ms(5_000), &revoke), Ok(Class::Ordinary));
    }
    let refused = quotas.charge(ms(5_000), &revoke);
    assert_eq!(refused, Err(Refusal::Quota { per_minute: 60, retry_after_s: 2 }));
    // A refusal costs nothing: one directive a second goes on.
    assert!(quotas.charge(ms(5_999), &revoke).is_err());
    assert_eq!(quotas.charge(ms(6_000), &revoke), Ok(Class::Ordinary));
    assert!(quotas.charge(ms(6_000), &revoke).is_err());
}

#[test]
fn a_kill_passes_although_the_budget_is_used_up_and_too_many_wait_like_the_rest() {
    let mut quotas = quotas(1, 1);
    let revoke = directive("k", ask(RecordKind::Revoke, user(1)));
    assert_eq!(quotas.charge(ms(0), &revoke), Ok(Class::Ordinary));
    assert!(quotas.charge(ms(0), &revoke).is_err());
    let hold = directive("h", ask(RecordKind::Hold, user(1)));
    for _ in 0..URGENT.burst {
        assert_eq!(quotas.charge(ms(0), &hold), Ok(Class::Urgent));
    }
    assert!(quotas.charge(ms(0), &hold).is_err(), "over both budgets");
    let mut other = hold;
    other.origin.emitter = EmitterId::new("hr").unwrap();
    for _ in 0..URGENT.burst {
        assert_eq!(quotas.charge(ms(0), &other), Ok(Class::Urgent), "budgets are per emitter");
    }
    assert_eq!(quotas.charge(ms(0), &other), Ok(Class::Ordinary), "no budget: not limited, but not urgent");
}

proptest! {
    /// In no stretch of time more than burst + time x rate passes, and who comes back when told passes.
    #[test]
    fn no_stretch_of_time_passes_more_than_its_budget(
        per_minute in 1_u32..600, burst in 1_u32..20, pauses in prop::collection::vec(0_u64..3_000, 1..150)
    ) {
        let (mut quotas, revoke) = (quotas(per_minute, burst), directive("k", ask(RecordKind::Revoke, user(1))));
        let (mut now, mut passed) = (0, Vec::new());
        for pause in pauses {
            now += pause;
            match quotas.charge(ms(now), &revoke) {
                Ok(_) => passed.push(now),
                Err(Refusal::Quota { retry_after_s, .. }) => {
                    let mut later = Quotas::default();
                    core::mem::swap(&mut later, &mut quotas);
                    let at = now + u64::from(retry_after_s) * 1_000;
                    prop_assert!(later.charge(ms(at), &revoke).is_ok());
                    break;
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        for (place, first) in passed.iter().enumerate() {
            for (count, last) in passed[place..].iter().enumerate() {
                let budget = u64::from(burst) * 60_000 + (last - first) * u64::from(per_minute);
                prop_assert!(count as u64 * 60_000 <= budget);
            }
        }
    }
}
