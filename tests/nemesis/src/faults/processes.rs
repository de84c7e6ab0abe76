//! Processes crash, hang and come back.

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::fleet::Fleet;

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "broker_killed",
        uses: &[Part::Broker],
        fits: Fits::Single,
        lasts_ms: (200, 3_000),
        inject: broker_killed,
    },
    Fault {
        name: "broker_paused",
        uses: &[Part::Broker],
        fits: Fits::Single,
        lasts_ms: (500, 12_000),
        inject: broker_paused,
    },
    Fault {
        name: "controller_killed",
        uses: &[Part::Controller],
        fits: Fits::Any,
        lasts_ms: (0, 2_000),
        inject: controller_killed,
    },
    Fault {
        name: "controller_paused",
        uses: &[Part::Controller],
        fits: Fits::Any,
        lasts_ms: (500, 12_000),
        inject: controller_paused,
    },
    Fault {
        name: "all_controllers_dead",
        uses: &[Part::Controller],
        fits: Fits::Any,
        lasts_ms: (6_000, 9_000),
        inject: all_controllers_dead,
    },
    Fault {
        name: "agent_killed",
        uses: &[Part::Agents],
        fits: Fits::Any,
        lasts_ms: (0, 2_000),
        inject: agent_killed,
    },
    Fault {
        name: "agent_paused",
        uses: &[Part::Agents],
        fits: Fits::Any,
        lasts_ms: (500, 12_000),
        inject: agent_paused,
    },
];

/// The broker dies as in a crash and is started again on its store.
pub fn broker_killed(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        fleet.brokers.with(0, "kill the broker", rescind_natsd::NatsProcess::kill9)?;
        Ok(Injected::Open(Heal::new(|fleet| {
            Box::pin(async move {
                fleet.brokers.with(0, "restart the broker", rescind_natsd::NatsProcess::restart)
            })
        })))
    })
}

/// The broker stands still: connections stay open, nothing answers.
pub fn broker_paused(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        fleet.brokers.with(0, "pause the broker", |broker| broker.pause())?;
        Ok(Injected::Open(Heal::new(|fleet| {
            Box::pin(async move { fleet.brokers.with(0, "resume the broker", |broker| broker.resume()) })
        })))
    })
}

/// One controller dies as in a crash and is started again on its log.
pub fn controller_killed(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = usize::try_from(turn % fleet.controllers.len().max(1) as u64).unwrap_or(0);
        fleet.kill_controller(number)?;
        Ok(Injected::Open(Heal::new(move |fleet| Box::pin(async move { fleet.controller(number)?.start() }))))
    })
}

/// One controller stands still and wakes up in another time.
pub fn controller_paused(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = usize::try_from(turn % fleet.controllers.len().max(1) as u64).unwrap_or(0);
        fleet.controller(number)?.pause()?;
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move { fleet.controller(number)?.resume() })
        })))
    })
}

/// Every controller is dead for longer than a lease.
pub fn all_controllers_dead(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        for number in 0..fleet.controllers.len() {
            fleet.kill_controller(number)?;
        }
        Ok(Injected::Open(Heal::new(|fleet| {
            Box::pin(async move {
                for seat in &mut fleet.controllers {
                    seat.start()?;
                }
                Ok(())
            })
        })))
    })
}

/// An agent dies as in a crash and is started again on its store.
pub fn agent_killed(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        fleet.agent(turn)?.kill9()?;
        Ok(Injected::Open(Heal::new(move |fleet| Box::pin(async move { fleet.agent(turn)?.start() }))))
    })
}

/// An agent stands still; the first decision after it wakes up must know how late it is.
pub fn agent_paused(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        fleet.agent(turn)?.pause()?;
        Ok(Injected::Open(Heal::new(move |fleet| Box::pin(async move { fleet.agent(turn)?.resume() }))))
    })
}
