//! The way between a process and the broker is hurt by a proxy of ours.

use std::time::Duration;

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::{fleet::Fleet, proxy::Mode};

/// How late everything is on a late link. Why: longer than a tick, shorter than a renewal's patience.
const LATE: Duration = Duration::from_millis(400);

/// Messages of 100 that a lossy link loses.
const LOSS_PERCENT: u64 = 30;

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "agent_link_black_hole",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: agent_link_black_hole,
    },
    Fault {
        name: "agent_link_deaf",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: agent_link_deaf,
    },
    Fault {
        name: "agent_link_mute",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: agent_link_mute,
    },
    Fault {
        name: "agent_link_cut",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: agent_link_cut,
    },
    Fault {
        name: "agent_link_forgotten",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (500, 1_500),
        inject: agent_link_forgotten,
    },
    Fault {
        name: "agent_link_late",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: agent_link_late,
    },
    Fault {
        name: "agent_link_reordered",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: agent_link_reordered,
    },
    Fault {
        name: "agent_link_repeated",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: agent_link_repeated,
    },
    Fault {
        name: "agent_link_lossy",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: agent_link_lossy,
    },
    Fault {
        name: "agent_link_torn_in_frame",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (1_000, 5_000),
        inject: agent_link_torn_in_frame,
    },
    Fault {
        name: "agent_link_half_closed",
        uses: &[Part::AgentLinks],
        fits: Fits::Any,
        lasts_ms: (500, 2_000),
        inject: agent_link_half_closed,
    },
    Fault {
        name: "controller_link_black_hole",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: controller_link_black_hole,
    },
    Fault {
        name: "controller_link_deaf",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: controller_link_deaf,
    },
    Fault {
        name: "controller_link_mute",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: controller_link_mute,
    },
    Fault {
        name: "controller_link_cut",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (1_000, 9_000),
        inject: controller_link_cut,
    },
    Fault {
        name: "controller_link_forgotten",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (500, 1_500),
        inject: controller_link_forgotten,
    },
    Fault {
        name: "controller_link_late",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: controller_link_late,
    },
    Fault {
        name: "controller_link_reordered",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: controller_link_reordered,
    },
    Fault {
        name: "controller_link_repeated",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: controller_link_repeated,
    },
    Fault {
        name: "controller_link_lossy",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (2_000, 9_000),
        inject: controller_link_lossy,
    },
    Fault {
        name: "controller_link_torn_in_frame",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (1_000, 5_000),
        inject: controller_link_torn_in_frame,
    },
    Fault {
        name: "controller_link_half_closed",
        uses: &[Part::ControllerLink],
        fits: Fits::Any,
        lasts_ms: (500, 2_000),
        inject: controller_link_half_closed,
    },
];

/// One agent: nothing passes and nobody is told.
pub fn agent_link_black_hole(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::BlackHole)
}

/// One agent: nothing arrives, what is sent still does.
pub fn agent_link_deaf(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Deaf)
}

/// One agent: nothing that is sent arrives, what comes still does.
pub fn agent_link_mute(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Mute)
}

/// One agent: connections are refused.
pub fn agent_link_cut(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Cut)
}

/// One agent: existing connections are dead for ever and nobody is told; new ones work.
pub fn agent_link_forgotten(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Forgotten)
}

/// One agent: everything is late.
pub fn agent_link_late(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Late(LATE))
}

/// One agent: messages overtake each other.
pub fn agent_link_reordered(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Reordered)
}

/// One agent: every message comes twice.
pub fn agent_link_repeated(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Repeated)
}

/// One agent: whole messages are lost.
pub fn agent_link_lossy(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::Lossy(LOSS_PERCENT))
}

/// One agent: every connection is torn in the middle of a message.
pub fn agent_link_torn_in_frame(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::TornInFrame)
}

/// One agent: the connection is closed in one direction.
pub fn agent_link_half_closed(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    agent(fleet, turn, Mode::HalfClosed)
}

/// The controller: nothing passes and nobody is told.
pub fn controller_link_black_hole(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::BlackHole)
}

/// The controller: nothing arrives, what is sent still does.
pub fn controller_link_deaf(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Deaf)
}

/// The controller: nothing that is sent arrives, what comes still does.
pub fn controller_link_mute(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Mute)
}

/// The controller: connections are refused.
pub fn controller_link_cut(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Cut)
}

/// The controller: existing connections are dead for ever and nobody is told; new ones work.
pub fn controller_link_forgotten(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Forgotten)
}

/// The controller: everything is late.
pub fn controller_link_late(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Late(LATE))
}

/// The controller: messages overtake each other.
pub fn controller_link_reordered(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Reordered)
}

/// The controller: every message comes twice.
pub fn controller_link_repeated(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Repeated)
}

/// The controller: whole messages are lost.
pub fn controller_link_lossy(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::Lossy(LOSS_PERCENT))
}

/// The controller: every connection is torn in the middle of a message.
pub fn controller_link_torn_in_frame(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::TornInFrame)
}

/// The controller: the connection is closed in one direction.
pub fn controller_link_half_closed(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    controller(fleet, turn, Mode::HalfClosed)
}

fn agent(fleet: &mut Fleet, turn: u64, mode: Mode) -> Work<'_, Injected> {
    Box::pin(async move {
        fleet.agent(turn)?.link.set(mode);
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move {
                fleet.agent(turn)?.link.set(Mode::Open);
                Ok(())
            })
        })))
    })
}

fn controller(fleet: &mut Fleet, turn: u64, mode: Mode) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = usize::try_from(turn % fleet.controllers.len().max(1) as u64).unwrap_or(0);
        fleet.controller(number)?.link.set(mode);
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move {
                fleet.controller(number)?.link.set(Mode::Open);
                Ok(())
            })
        })))
    })
}
