//! Every fault on its own against a small fleet: short, two at once at most, with every check at the end.
//!
//! A fault that this machine does not allow says `SKIPPED` with its reason on standard error; run the tests with
//! `--no-capture` to see it. `cargo xtask nemesis` lists it in its table.

#![expect(clippy::print_stderr, reason = "a fault that cannot be played here must say so")]

use std::time::Duration;

use rescind_nemesis::{
    check,
    faults::{self, Injected},
    finale,
    fleet::{Fleet, Plan, temporary_out},
    mix,
    workload::{Pace, Workload},
};
use rescind_testkit::{KitError, KitResult};

/// Injects one fault under load, holds it, heals it, and looks at everything.
async fn play(name: &str, lasts_ms: u64) -> KitResult {
    let fault = faults::find(name).ok_or_else(|| KitError::new(format!("there is no fault {name}")))?;
    let out = temporary_out(name);
    let brokers = if fault.fits == faults::Fits::Cluster { 3 } else { 1 };
    let mut fleet = Fleet::start(Plan { brokers, ..Plan::small(&out) }).await?;
    let workload = Workload::start(&mut fleet, Pace { stories: 4, people: 40 })?;
    fleet.pass(Duration::from_millis(700)).await?;
    match (fault.inject)(&mut fleet, 1).await? {
        Injected::Skipped(reason) => {
            eprintln!("SKIPPED {name}: {reason}");
            return Ok(());
        }
        Injected::Open(heal) => {
            fleet.pass(Duration::from_millis(lasts_ms)).await?;
            heal.now(&mut fleet).await?;
        }
    }
    let fresh = mix::fresh_for_good(&mut fleet, rescind_nemesis::clock::mono_ns()).await?;
    fleet.pass(Duration::from_millis(500)).await?;
    let with_access = workload.finish(&mut fleet).await?;
    finale::look(&mut fleet, &with_access).await?;
    let (late, denials, answers) = {
        let seen = fleet.evidence.seen();
        let late = check::late_allows(&seen).iter().map(check::Late::staleness).max().unwrap_or_default();
        (late, seen.denials.len(), seen.answers)
    };
    let (violations, ended) = (finale::violations(&fleet), fleet.ended.clone());
    fleet.end().await;
    eprintln!("{name}: {denials} denials, {answers} answers, stale {late:?} at most, fresh after {fresh:?}");
    if !violations.is_empty() {
        let text: Vec<String> =
            violations.iter().map(|one| format!("{} {}", one.guarantee, one.text)).collect();
        let ended: Vec<String> = ended.iter().map(|one| format!("{}: {}", one.name, one.said)).collect();
        return Err(KitError::new(format!(
            "{name} broke:\n{}\nended by themselves: {}\ntrace and logs: {}",
            text.join("\n"),
            ended.join("\n"),
            out.display(),
        )));
    }
    assert!(denials > 0 && answers > 0, "{name}: nothing happened");
    std::fs::remove_dir_all(&out).map_err(KitError::because("remove the run's folder"))
}

macro_rules! faults {
    ($($test:ident: $fault:literal for $lasts_ms:literal ms;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() -> KitResult {
            play($fault, $lasts_ms).await
        })*

        #[test]
        fn every_fault_has_a_test_of_its_own() {
            let tested = [$($fault),*];
            for (_, group) in faults::GROUPS {
                for fault in *group {
                    assert!(tested.contains(&fault.name), "`{}` has no test", fault.name);
                }
            }
        }
    };
}

faults! {
    fault_broker_killed: "broker_killed" for 800 ms;
    fault_broker_paused: "broker_paused" for 3000 ms;
    fault_controller_killed: "controller_killed" for 300 ms;
    fault_controller_paused: "controller_paused" for 3000 ms;
    fault_all_controllers_dead: "all_controllers_dead" for 3000 ms;
    fault_agent_killed: "agent_killed" for 300 ms;
    fault_agent_paused: "agent_paused" for 3000 ms;
    fault_agent_link_black_hole: "agent_link_black_hole" for 3000 ms;
    fault_agent_link_deaf: "agent_link_deaf" for 3000 ms;
    fault_agent_link_mute: "agent_link_mute" for 3000 ms;
    fault_agent_link_cut: "agent_link_cut" for 3000 ms;
    fault_agent_link_forgotten: "agent_link_forgotten" for 1000 ms;
    fault_agent_link_late: "agent_link_late" for 3000 ms;
    fault_agent_link_reordered: "agent_link_reordered" for 3000 ms;
    fault_agent_link_repeated: "agent_link_repeated" for 3000 ms;
    fault_agent_link_lossy: "agent_link_lossy" for 3000 ms;
    fault_agent_link_torn_in_frame: "agent_link_torn_in_frame" for 2000 ms;
    fault_agent_link_half_closed: "agent_link_half_closed" for 1000 ms;
    fault_controller_link_black_hole: "controller_link_black_hole" for 3000 ms;
    fault_controller_link_deaf: "controller_link_deaf" for 3000 ms;
    fault_controller_link_mute: "controller_link_mute" for 3000 ms;
    fault_controller_link_cut: "controller_link_cut" for 3000 ms;
    fault_controller_link_forgotten: "controller_link_forgotten" for 1000 ms;
    fault_controller_link_late: "controller_link_late" for 3000 ms;
    fault_controller_link_reordered: "controller_link_reordered" for 3000 ms;
    fault_controller_link_repeated: "controller_link_repeated" for 3000 ms;
    fault_controller_link_lossy: "controller_link_lossy" for 3000 ms;
    fault_controller_link_torn_in_frame: "controller_link_torn_in_frame" for 2000 ms;
    fault_controller_link_half_closed: "controller_link_half_closed" for 1000 ms;
    fault_broker_store_rolled_back: "broker_store_rolled_back" for 2000 ms;
    fault_stream_deleted: "stream_deleted" for 500 ms;
    fault_broker_store_bit_flipped: "broker_store_bit_flipped" for 500 ms;
    fault_broker_store_truncated: "broker_store_truncated" for 500 ms;
    fault_broker_disk_full: "broker_disk_full" for 2500 ms;
    fault_controller_disk_full: "controller_disk_full" for 2500 ms;
    fault_agent_disk_full: "agent_disk_full" for 2500 ms;
    fault_controller_disk_fails: "controller_disk_fails" for 2000 ms;
    fault_agent_disk_fails: "agent_disk_fails" for 2000 ms;
    fault_agent_packets_lost: "agent_packets_lost" for 4000 ms;
    fault_agent_wall_clock_jumps: "agent_wall_clock_jumps" for 2500 ms;
    fault_controller_wall_clock_jumps: "controller_wall_clock_jumps" for 2500 ms;
    fault_node_killed: "node_killed" for 2000 ms;
    fault_node_paused: "node_paused" for 3000 ms;
    fault_quorum_lost: "quorum_lost" for 3000 ms;
}

/// L8: a fleet that reconnects at once after an outage shorter than the lease minus 2 s loses nobody.
#[tokio::test(flavor = "multi_thread")]
async fn fault_many_agents_reconnect_and_nobody_expires() -> KitResult {
    let crowd = rescind_nemesis::crowd::run(100, Duration::from_secs(5)).await?;
    eprintln!("{crowd:?}");
    assert_eq!(crowd.expired, 0, "{crowd:?}");
    Ok(())
}
