//! From an accepted revocation to the last agent that denies, beside nothing but the fan-out that carries it.
//!
//! nats-server, controller and agents all run on this machine, the agents in this process; what a round measures
//! is therefore mostly the work of all agents on a few cores.

pub(crate) mod accept;
mod fanout;
mod fleet;

use tokio::runtime::Runtime;

use self::fanout::Fanout;
use self::fleet::Fleet;
use crate::Outcome;
use crate::arguments::Scale;
use crate::measure::Samples;
use crate::report::{Figure, Sheet};

/// Limit: milliseconds from accepted to the last deny, 99th percentile, by number of agents.
const LAST_DENY_MS_MAX: [(usize, f64); 2] = [(100, 50.0), (1000, 250.0)];
/// Limit: the same in times of the bare fan-out.
const FANOUT_RATIO_MAX: f64 = 3.0;

/// Revocations that are measured; fewer for the largest fleet, whose rounds are long.
const ROUNDS: usize = 100;
const ROUNDS_LARGEST: usize = 30;

pub(crate) fn run(scale: Scale) -> Outcome<Sheet> {
    let mut sheet = Sheet::new("propagate");
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        accept::run(scale, &mut sheet).await?;
        for agents in scale.pick(vec![1, 10, 100, 1000], vec![1, 5]) {
            let rounds = scale.pick(if agents >= 1000 { ROUNDS_LARGEST } else { ROUNDS }, 5);
            of_fleet(agents, rounds, &mut sheet).await?;
        }
        Outcome::Ok(())
    })?;
    sheet.note(
        "accepted is the controller's time stamp before its own log and the bus, in whole milliseconds",
    );
    Ok(sheet)
}

/// One round: what the bare fan-out and what a revocation took, in milliseconds.
async fn of_fleet(agents: usize, rounds: usize, sheet: &mut Sheet) -> Outcome {
    println!("   {agents} agents ...");
    let mut fleet = Fleet::start(agents).await?;
    let mut fanout = Fanout::start(&fleet.nats_url(), agents).await?;
    let (mut bare, mut last, mut asked, mut ratios) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    for round in 0..=rounds {
        let token = fleet.token(round)?;
        let fanout_ms = fanout.round().await?;
        let denied = fleet.revoke(round, &token).await?;
        // Why not the first: connections and code paths are used for the first time.
        if round > 0 {
            bare.push(fanout_ms);
            last.push(denied.after_accepted_ms);
            asked.push(denied.after_asked_ms);
            ratios.push(denied.after_accepted_ms / fanout_ms);
        }
    }
    let of = if agents == 1 { "one agent".to_owned() } else { format!("the last of {agents} agents") };
    let figure = Figure::tail(format!("accepted to denied on {of}, p99"), "ms", last.spread());
    let limit = LAST_DENY_MS_MAX.iter().find(|(count, _)| *count == agents);
    sheet.add(match limit {
        Some((_, limit)) => figure.at_most(*limit),
        None => figure,
    });
    sheet.add(Figure::spread("  the same, median", "ms", last.spread()));
    sheet.add(Figure::spread("  from asked to denied, median", "ms", asked.spread()));
    sheet.add(Figure::spread("  bare fan-out of the same size, median", "ms", bare.spread()));
    let ratio = Figure::value("  accepted to denied in times of the bare fan-out", "x", ratios.p50());
    sheet.add(if agents >= 100 { ratio.at_most(FANOUT_RATIO_MAX) } else { ratio });
    fleet.stop().await;
    Ok(())
}
