//! Disks are full or fail. Small disks are loop mounts; errors are injected into the system calls by strace. Both
//! need root: without it these faults are skipped, by name.

use std::{path::PathBuf, process::Command, time::Duration};

use rescind_testkit::{KitError, KitResult, until};
use rustix::process::Signal;
use tokio::task::block_in_place;

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::{
    fleet::Fleet,
    proc::{Proc, tail},
    room::SmallDisk,
};

/// MiB of a small disk: enough for what a short run writes.
const DISK_MIB: u64 = 64;

/// Limit: how long a tracer may take to take hold.
const ATTACH_WAIT: Duration = Duration::from_secs(10);

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "broker_disk_full",
        uses: &[Part::Broker],
        fits: Fits::Single,
        lasts_ms: (1_000, 6_000),
        inject: broker_disk_full,
    },
    Fault {
        name: "controller_disk_full",
        uses: &[Part::Controller],
        fits: Fits::Any,
        lasts_ms: (1_000, 6_000),
        inject: controller_disk_full,
    },
    Fault {
        name: "agent_disk_full",
        uses: &[Part::Agents],
        fits: Fits::Any,
        lasts_ms: (1_000, 6_000),
        inject: agent_disk_full,
    },
    Fault {
        name: "controller_disk_fails",
        uses: &[Part::Controller],
        fits: Fits::Any,
        lasts_ms: (500, 3_000),
        inject: controller_disk_fails,
    },
    Fault {
        name: "agent_disk_fails",
        uses: &[Part::Agents],
        fits: Fits::Any,
        lasts_ms: (500, 3_000),
        inject: agent_disk_fails,
    },
];

/// The broker has no space left for its stream. Its heal restarts it: a nats-server (2.15.1) that met a full disk goes
/// on refusing every append with `no space left on device` after there is space again, until it is restarted.
pub fn broker_disk_full(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let at = fleet.brokers.store(0)?;
        if !has_disk(fleet, &at) {
            fleet.brokers.with(0, "stop the broker", rescind_natsd::NatsProcess::stop)?;
            let made = small_disk(fleet, at.clone());
            fleet.brokers.with(0, "restart the broker", rescind_natsd::NatsProcess::restart)?;
            if let Err(error) = made {
                return Ok(Injected::Skipped(format!("no small disk: {error}")));
            }
        }
        let Injected::Open(empty) = fill(fleet, at)? else {
            return Ok(Injected::Skipped("no small disk".to_owned()));
        };
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move {
                empty.now(fleet).await?;
                fleet.brokers.with(0, "restart the broker", rescind_natsd::NatsProcess::restart)
            })
        })))
    })
}

/// The controller has no space left for its log.
pub fn controller_disk_full(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = usize::try_from(turn % fleet.controllers.len().max(1) as u64).unwrap_or(0);
        let at = fleet.controller(number)?.data.clone();
        if !has_disk(fleet, &at) {
            fleet.kill_controller(number)?;
            let made = small_disk(fleet, at.clone());
            fleet.controller(number)?.start()?;
            if let Err(error) = made {
                return Ok(Injected::Skipped(format!("no small disk: {error}")));
            }
        }
        fill(fleet, at)
    })
}

/// An agent has no space left for its store.
pub fn agent_disk_full(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let at = fleet.agent(turn)?.data.clone();
        if !has_disk(fleet, &at) {
            fleet.agent(turn)?.stop().await?;
            std::fs::create_dir_all(&at).map_err(KitError::because("make the agent's folder"))?;
            let made = small_disk(fleet, at.clone());
            fleet.agent(turn)?.start()?;
            if let Err(error) = made {
                return Ok(Injected::Skipped(format!("no small disk: {error}")));
            }
        }
        fill(fleet, at)
    })
}

fn has_disk(fleet: &Fleet, at: &std::path::Path) -> bool {
    fleet.room.disks.iter().any(|disk| disk.at() == at)
}

fn small_disk(fleet: &mut Fleet, at: PathBuf) -> KitResult {
    let disk = block_in_place(|| SmallDisk::over(&at, DISK_MIB))?;
    fleet.room.disks.push(disk);
    Ok(())
}

fn fill(fleet: &Fleet, at: PathBuf) -> KitResult<Injected> {
    let disk = |fleet: &Fleet, at: &std::path::Path, what: fn(&SmallDisk) -> KitResult| {
        let disk = fleet.room.disks.iter().find(|disk| disk.at() == at);
        disk.map_or_else(|| Err(KitError::new("there is no such disk")), what)
    };
    disk(fleet, &at, SmallDisk::fill)?;
    Ok(Injected::Open(Heal::new(move |fleet| Box::pin(async move { disk(fleet, &at, SmallDisk::empty) }))))
}

/// Every sync of the controller's disk fails.
pub fn controller_disk_fails(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = usize::try_from(turn % fleet.controllers.len().max(1) as u64).unwrap_or(0);
        let pid = fleet.controller(number)?.process()?.pid();
        trace(fleet, pid).await
    })
}

/// Every sync of an agent's disk fails.
pub fn agent_disk_fails(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let pid = fleet.agent(turn)?.process()?.pid();
        trace(fleet, pid).await
    })
}

/// Makes syncs and truncations of a process fail with EIO until the tracer goes.
async fn trace(fleet: &mut Fleet, pid: u32) -> KitResult<Injected> {
    let log = fleet.plan().out.join(format!("strace-{pid}.log"));
    let mut command = Command::new("strace");
    command.args(["-f", "-p", &pid.to_string(), "-o", "/dev/null"]);
    command.args(["-e", "trace=fsync,fdatasync,sync_file_range,ftruncate"]);
    command.args(["-e", "inject=fsync,fdatasync,sync_file_range,ftruncate:error=EIO"]);
    let tracer = match Proc::start(command, &log, &log) {
        Ok(tracer) => tracer,
        Err(error) => return Ok(Injected::Skipped(format!("no strace: {error}"))),
    };
    let mut tracer = tracer;
    let held = until("the tracer holds the process", ATTACH_WAIT, || {
        tail(&log).contains("attached") || !tracer.is_running()
    });
    held.await?;
    if !tracer.is_running() {
        return Ok(Injected::Skipped(format!("strace may not trace: {}", tail(&log).trim())));
    }
    fleet.room.tracers.push(tracer);
    Ok(Injected::Open(Heal::new(|fleet| {
        Box::pin(async move {
            for mut tracer in fleet.room.tracers.drain(..) {
                // Why INT: it lets go of the process; a killed tracer may leave it stopped.
                tracer.signal(Signal::INT).ok();
                until("the tracer lets go", ATTACH_WAIT, || !tracer.is_running()).await?;
            }
            Ok(())
        })
    })))
}
