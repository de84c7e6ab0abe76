//! How long an agent with a large state needs until its first fresh decision.

use std::fs;
use std::time::Duration;

use rescind_agent::Freshness;
use rescind_testkit::{TestRealm, until};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::arguments::Scale;
use crate::data::{ACTION, SERVICE};
use crate::measure::{Samples, Stopwatch};
use crate::propagate::accept::{BULK_DIRECTIVES, bulk};
use crate::report::{Figure, Sheet};

/// Limit: seconds with a store.
const WARM_S_MAX: f64 = 2.0;
/// Limit: seconds without one.
const COLD_S_MAX: f64 = 5.0;

const AGENT: &str = "payments-1";
/// Limit: longest wait for one start, and for the store to have everything.
const START_WAIT: Duration = Duration::from_secs(120);

pub(crate) fn run(scale: Scale) -> Outcome<Sheet> {
    Runtime::new()?.block_on(measure(scale))
}

async fn measure(scale: Scale) -> Outcome<Sheet> {
    let mut sheet = Sheet::new("start");
    let requests = scale.pick(100, 2);
    let records = requests * BULK_DIRECTIVES;
    let builder = TestRealm::builder().lease(Duration::from_secs(5)).agent(AGENT, SERVICE).agents_later();
    let mut realm = builder.start().await?;
    println!("   {records} records ...");
    let rate = bulk(&realm.api("ir")?, realm.issuer().url(), requests).await?;
    sheet.add(Figure::value(format!("{records} directives accepted beforehand"), "1/s", rate));
    let (mut cold, mut warm) = (Samples::default(), Samples::default());
    for _ in 0..scale.pick(5, 2) {
        forget(&realm)?;
        cold.push(first_decision(&mut realm, records).await?);
        stop(&mut realm).await?;
        warm.push(first_decision(&mut realm, records).await?);
        stop(&mut realm).await?;
    }
    let of = format!("{records} records");
    sheet.add(Figure::spread(format!("agent without a store, {of}"), "s", cold.spread()).at_most(COLD_S_MAX));
    sheet.add(Figure::spread(format!("agent with its store, {of}"), "s", warm.spread()).at_most(WARM_S_MAX));
    Ok(sheet)
}

/// Seconds from the start of the agent to a decision that is fresh.
async fn first_decision(realm: &mut TestRealm, records: u64) -> Outcome<f64> {
    let token = realm.issuer().token("alice").session("none").sign()?;
    let agent = realm.agent_mut(AGENT)?;
    let watch = Stopwatch::start();
    agent.connect().await?.ready_within(START_WAIT).await?;
    let decision = agent.ask(&token, ACTION, "/orders/17")?;
    let took = watch.seconds();
    let held = agent.handle()?.status().records;
    if decision.freshness != Freshness::Fresh || held != records {
        return Err(format!("the agent is {:?} with {held} records", decision.freshness).into());
    }
    Ok(took)
}

/// Stops the agent when everything is on disk.
async fn stop(realm: &mut TestRealm) -> Outcome {
    let agent = realm.agent_mut(AGENT)?;
    let handle = agent.handle()?.clone();
    until("the store holds everything", START_WAIT, || handle.durable() == handle.position()).await?;
    agent.stop().await?;
    Ok(())
}

fn forget(realm: &TestRealm) -> Outcome {
    let store = realm.files().agent_store(AGENT);
    if store.exists() {
        fs::remove_dir_all(&store)?;
    }
    Ok(())
}
