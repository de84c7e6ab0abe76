use std::time::Duration;

use rescind_core::agent::ClockFault;
use rescind_core::lease::Lease;
use rescind_core::time::{BootNs, UnixMs};

use super::{BootClock, ClockWatch, Place, Readings, controller_is_ahead, wall_ms};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

fn at(boot: u64, raw: u64, wall: u64) -> Readings {
    Readings { boot_ns: boot, raw_ns: raw, wall_ns: 1_700_000_000 * S + wall }
}

#[test]
fn the_boot_clock_never_goes_back() {
    let clock = BootClock;
    let mut last = clock.now();
    for _ in 0..10_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
    assert!(last.0 > 0);
}

#[test]
fn the_wall_clock_is_after_2023() {
    assert!(wall_ms().0 > 1_672_531_200_000);
}

#[test]
fn readings_of_this_machine_accuse_nobody() {
    let mut watch = ClockWatch::default();
    for _ in 0..100 {
        if let Some(readings) = Readings::take() {
            assert_eq!(watch.look(readings), None);
        }
    }
}

#[test]
fn the_first_look_only_records() {
    assert_eq!(ClockWatch::default().look(at(5 * S, 3 * S, 0)), None);
}

#[test]
fn equal_progress_is_fine_for_a_day() {
    let mut watch = ClockWatch::default();
    for second in 0..86_400 {
        assert_eq!(watch.look(at(second * S, second * S, second * S)), None);
    }
}

#[test]
fn a_wall_step_of_more_than_250_ms_is_a_fault_in_both_directions() {
    for wall in [S + 300 * MS, 4 * S, 3_600 * S] {
        let mut watch = ClockWatch::default();
        watch.look(at(0, 0, 0));
        assert_eq!(watch.look(at(S, S, wall)), Some(ClockFault::WallMoved), "{wall}");
    }
    let mut watch = ClockWatch::default();
    watch.look(at(0, 0, 10 * S));
    assert_eq!(watch.look(at(S, S, 10 * S + 700 * MS)), Some(ClockFault::WallMoved));
}

#[test]
fn a_small_wall_step_is_no_fault() {
    let mut watch = ClockWatch::default();
    watch.look(at(0, 0, 0));
    assert_eq!(watch.look(at(S, S, S + 200 * MS)), None);
    assert_eq!(watch.look(at(2 * S, 2 * S, 2 * S)), None);
}

#[test]
fn a_step_is_told_once_and_then_it_is_the_new_base() {
    let mut watch = ClockWatch::default();
    watch.look(at(0, 0, 0));
    assert_eq!(watch.look(at(S, S, 3_601 * S)), Some(ClockFault::WallMoved));
    assert_eq!(watch.look(at(2 * S, 2 * S, 3_602 * S)), None);
}

#[test]
fn an_hour_without_a_lease_and_an_honest_slew_is_no_fault() {
    let mut watch = ClockWatch::default();
    watch.look(at(0, 0, 0));
    let slewed = 3_600 * S + 3_600 * S / 2_000;
    assert_eq!(watch.look(at(3_600 * S, 3_600 * S, slewed)), None);
}

#[test]
fn suspend_ages_the_boot_clock_and_is_no_fault() {
    let mut watch = ClockWatch::default();
    watch.look(at(0, 0, 0));
    assert_eq!(watch.look(at(600 * S, S, 600 * S)), None);
    assert_eq!(watch.look(at(601 * S, 2 * S, 601 * S)), None);
}

#[test]
fn a_boot_clock_that_runs_ten_percent_slow_is_found_within_five_seconds() {
    let mut watch = ClockWatch::default();
    let found = (0..=5).find(|second| {
        let raw = second * S;
        let boot = raw - raw / 10;
        watch.look(at(boot, raw, boot)).is_some()
    });
    assert!(found.is_some());
}

#[test]
fn a_boot_clock_that_went_back_is_a_fault() {
    let mut watch = ClockWatch::default();
    watch.look(at(10 * S, 10 * S, 10 * S));
    assert!(watch.look(at(9 * S, 11 * S, 9 * S)).is_some());
}

#[test]
fn reading_costs_well_under_a_microsecond() {
    let clock = BootClock;
    let begin = clock.now();
    let reads = 100_000_u64;
    for _ in 0..reads {
        std::hint::black_box(clock.now());
    }
    let each = clock.now().since(begin) / u32::try_from(reads).unwrap();
    println!("{} ns per read", each.as_nanos());
    // Why so loose: a virtual machine without a user-space clock pays a system call, and tests share the CPU.
    assert!(each < Duration::from_micros(20));
}

#[test]
fn fault_boot_id_or_time_namespace_changed_is_found_and_told_once() {
    let place = |boot: &str, namespace: &str| Place {
        boot_id: Some(boot.to_owned()),
        time_namespace: Some(namespace.into()),
    };
    for other in [place("b", "time:[1]"), place("a", "time:[2]")] {
        let mut watch = ClockWatch::default();
        assert_eq!(watch.look_at(place("a", "time:[1]")), None);
        assert_eq!(watch.look_at(place("a", "time:[1]")), None);
        assert_eq!(watch.look_at(other.clone()), Some(ClockFault::BootChanged));
        assert_eq!(watch.look_at(other), None);
    }
}

#[test]
fn a_place_that_cannot_be_read_accuses_nobody() {
    let mut watch = ClockWatch::default();
    assert_eq!(watch.look_at(Place::take()), None);
    assert_eq!(watch.look_at(Place::default()), None);
    assert_eq!(watch.look_at(Place::take()), None);
    assert_eq!(watch.look_at(Place::take()), None);
}

#[test]
fn fault_wall_clock_slewed_by_ten_percent_is_found_and_a_raw_clock_beside_it_is_not() {
    for wall_rate in [90, 110] {
        let mut watch = ClockWatch::default();
        let found = (0..=5).find(|second| {
            let boot = second * S;
            watch.look(at(boot, boot, boot / 100 * wall_rate)).is_some()
        });
        // A tenth of a second every second: between two looks that far apart it is a slew, not a step.
        assert_eq!(found, None, "freshness does not depend on the wall clock");
        let mut watch = ClockWatch::default();
        watch.look(at(0, 0, 0));
        assert_eq!(watch.look(at(5 * S, 5 * S, 5 * S / 100 * wall_rate)), Some(ClockFault::WallMoved));
    }
}

#[test]
fn fault_controller_time_ahead_of_what_is_possible_is_found() {
    let lease = Lease {
        asked_at: BootNs(10 * S),
        granted_at: BootNs(10 * S + 50 * MS),
        controller_time: UnixMs(1_700_000_000_000),
        length: Duration::from_secs(5),
    };
    let shown = |after_ms| UnixMs(lease.controller_time.0 + after_ms);
    let now = BootNs(11 * S);
    assert!(!controller_is_ahead(&lease, shown(1_000), now));
    assert!(!controller_is_ahead(&lease, shown(1_250), now), "0.5 % and a quarter of a second are allowed");
    assert!(controller_is_ahead(&lease, shown(1_300), now));
    assert!(controller_is_ahead(&lease, shown(60_000), now), "this machine stood still for a minute");
}
