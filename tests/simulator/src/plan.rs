//! What a run is made of: drawn from its seed, within the caller's options.

use crate::random::Rng;

/// Milliseconds as nanoseconds.
pub(crate) const MS: u64 = 1_000_000;
/// Seconds as nanoseconds.
pub(crate) const S: u64 = 1_000_000_000;

/// What the caller chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Agents; `None`: a few, by the seed.
    pub agents: Option<u32>,
    /// Seconds of faults; the healing after them takes about 25 more.
    pub storm_s: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { agents: None, storm_s: 25 }
    }
}

/// How bad the links are, in permille and milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) copies: u64,
    pub(crate) late: u64,
    pub(crate) late_ms: u64,
    /// Minutes of delay: a replay of what was long forgotten.
    pub(crate) ancient: u64,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) agents: u32,
    pub(crate) controllers: u32,
    pub(crate) storm: u64,
    pub(crate) weather: Weather,
    /// Pause between two faults, on average.
    pub(crate) fault_pause: u64,
    /// Pause between two directives, on average.
    pub(crate) directive_pause: u64,
    /// Pause between two decisions of an agent.
    pub(crate) decision_pause: u64,
    pub(crate) users: u64,
    pub(crate) broker_faults: bool,
    pub(crate) controller_faults: bool,
    pub(crate) agent_faults: bool,
    pub(crate) wall_faults: bool,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng, options: &Options) -> Self {
        let agents = options.agents.unwrap_or_else(|| 2 + u32::try_from(rng.below(4)).unwrap_or(0));
        let calm = rng.permille(150);
        let weather = Weather {
            loss: if calm { 0 } else { rng.below(150) },
            copies: rng.below(80),
            late: rng.below(100),
            late_ms: 20 + rng.below(4_000),
            ancient: rng.below(10),
        };
        let crowd = u64::from(agents).div_ceil(8);
        Self {
            agents,
            controllers: 1 + u32::try_from(rng.below(3)).unwrap_or(0),
            storm: options.storm_s * S,
            weather,
            fault_pause: (300 + rng.below(3_000)) * MS,
            directive_pause: (60 + rng.below(400)) * MS,
            decision_pause: (80 + rng.below(400)) * MS * crowd,
            users: 4 + rng.below(40),
            broker_faults: rng.permille(600),
            controller_faults: rng.permille(700),
            agent_faults: rng.permille(850),
            wall_faults: rng.permille(250),
        }
    }
}
