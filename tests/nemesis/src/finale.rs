//! After everything was healed: what was promised must be there, once, everywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rescind_testkit::{KitError, KitResult};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    check,
    clock::mono_ns,
    evidence::{Denial, Violation},
    fleet::{Fleet, watch_until},
    judge,
    people::Person,
};

/// L8: equal digests within this after all faults healed. Also the limit for being fresh again.
pub const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// Limit: an answer of a controller that has nothing to do.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// What a board may take to say `enforced` beyond the bound itself: questions and a busy machine.
const BOARD_SLACK: Duration = Duration::from_secs(5);

/// Rows of a page of the API.
const PAGE: usize = 200;

/// Everything that must hold after a heal; what does not is noted in the evidence.
///
/// # Errors
/// The run itself cannot go on.
pub async fn look(fleet: &mut Fleet, with_access: &[Person]) -> KitResult {
    everybody_is_fresh_and_equal(fleet).await?;
    everybody_allows(fleet, with_access).await?;
    every_board_is_enforced(fleet).await?;
    nothing_is_lost(fleet).await?;
    one_effect_per_key(fleet).await
}

/// L2, L8: fresh, and equal digests. Needs that nobody changes anything meanwhile.
///
/// # Errors
/// The fleet cannot be watched.
pub async fn everybody_is_fresh_and_equal(fleet: &mut Fleet) -> KitResult {
    let since = mono_ns();
    let fresh =
        watch_until(fleet, "every agent is fresh", HEALED_WITHIN, |fleet| fleet.all_fresh_since(since)).await;
    if fresh.is_err() {
        let told = format!("{:?}", fleet.evidence.seen().told);
        fleet.evidence.broken(
            "L2",
            mono_ns(),
            format!("not every agent is fresh after {HEALED_WITHIN:?}: {told}"),
        );
    }
    let equal =
        watch_until(fleet, "all digests are equal", HEALED_WITHIN, |fleet| fleet.all_equal_since(since))
            .await;
    if equal.is_err() {
        let told = format!("{:?}", fleet.evidence.seen().told);
        fleet.evidence.broken(
            "L8",
            mono_ns(),
            format!("digests differ {HEALED_WITHIN:?} after the heal: {told}"),
        );
        return Ok(());
    }
    let position = ask(fleet, "/v1/position").await?;
    let text = |name: &str| position.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let controller = (format!("{} {}", text("deny"), text("grant")), text("digest"));
    let agent =
        fleet.evidence.seen().told.values().next().map(|told| (told.heads.clone(), told.digest.clone()));
    if agent.is_some_and(|agent| agent != controller) {
        let told = format!("{:?}", fleet.evidence.seen().told);
        fleet.evidence.broken("L8", mono_ns(), format!("the controller has {controller:?}, agents {told}"));
    }
    Ok(())
}

/// Nobody who has access is denied: safety bought by denying everybody would be none.
async fn everybody_allows(fleet: &mut Fleet, people: &[Person]) -> KitResult {
    let since = mono_ns();
    let agents: Vec<usize> = (0..fleet.agents.len()).collect();
    let missing = |fleet: &Fleet| {
        let seen = fleet.evidence.seen();
        let pairs = people.iter().flat_map(|person| agents.iter().map(move |agent| (person, *agent)));
        let without = pairs.filter(|(person, agent)| {
            let mut allows = seen.allows.get(&person.name).into_iter().flatten().rev();
            !allows.any(|allow| allow.agent == *agent && allow.from_ns >= since)
        });
        without.map(|(person, agent)| format!("{} at agent-{agent}", person.name)).collect::<Vec<_>>()
    };
    let all =
        watch_until(fleet, "who has access is allowed", HEALED_WITHIN, |fleet| missing(fleet).is_empty())
            .await;
    if all.is_err() {
        let missing = missing(fleet).join(", ");
        fleet.evidence.broken("L1", mono_ns(), format!("has access and is denied: {missing}"));
    }
    Ok(())
}

/// L5: every board says `enforced` in the end.
async fn every_board_is_enforced(fleet: &mut Fleet) -> KitResult {
    let open = |fleet: &Fleet| -> Vec<String> {
        let seen = fleet.evidence.seen();
        let open = seen.denials.iter().filter(|denial| denial.enforced_ns.is_none());
        open.map(|denial| denial.id.clone()).collect()
    };
    let end = Instant::now() + fleet.bound.enforced + BOARD_SLACK;
    loop {
        let waiting = open(fleet);
        for id in &waiting {
            if let Ok(answer) = fleet.door.get(&format!("/v1/records/{id}/board")).await
                && answer.field("state") == "enforced"
            {
                fleet.evidence.enforced(id, mono_ns());
            }
        }
        fleet.tick()?;
        let waiting = open(fleet);
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            let first = waiting.first().cloned().unwrap_or_default();
            let board = ask(fleet, &format!("/v1/records/{first}/board")).await?;
            let text = format!("{} boards are not enforced, the first is {board}", waiting.len());
            fleet.evidence.broken("L5", mono_ns(), text);
            return Ok(());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Every accepted change is there, and what was not ended is active.
async fn nothing_is_lost(fleet: &mut Fleet) -> KitResult {
    let denials: Vec<Denial> = fleet.evidence.seen().denials.clone();
    let rows = pages(fleet, "/v1/records?state=all", "records").await?;
    let states: BTreeMap<&str, &str> =
        rows.iter().filter_map(|row| Some((row.get("id")?.as_str()?, row.get("state")?.as_str()?))).collect();
    let mut lost = Vec::new();
    for denial in &denials {
        // Why by kind: a withdrawal is no record of its own; its place in the chain is known by its board.
        if denial.kind == "withdraw" {
            let answer = get(fleet, &format!("/v1/records/{}/board", denial.id)).await?;
            if answer.status != 200 {
                lost.push(format!("{} {}: {}", denial.kind, denial.id, answer.status));
            }
            continue;
        }
        let state = states.get(denial.id.as_str()).copied();
        let is_right = match (denial.kind, denial.until_ns) {
            (_, None) if denial.kind != "disable" => state == Some("active"),
            _ => state.is_some(),
        };
        if !is_right {
            lost.push(format!("{} {} is {state:?}", denial.kind, denial.id));
        }
    }
    if !lost.is_empty() {
        fleet.evidence.broken("L4", mono_ns(), format!("accepted and lost: {}", lost.join(", ")));
    }
    Ok(())
}

/// L4: a key has exactly one effect.
async fn one_effect_per_key(fleet: &mut Fleet) -> KitResult {
    let effects = fleet.evidence.seen().effects.clone();
    let mut keys = BTreeSet::new();
    for row in pages(fleet, "/v1/records?state=all", "records").await? {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (key, id) = (text("idempotency_key"), text("id"));
        if key.is_empty() {
            continue;
        }
        if !keys.insert(key.clone()) {
            fleet.evidence.broken("L4", mono_ns(), format!("key {key} made two records, one is {id}"));
        }
        if effects.get(&key).is_some_and(|promised| *promised != id) {
            fleet.evidence.broken("L4", mono_ns(), format!("key {key} promised another change than {id}"));
        }
    }
    Ok(())
}

/// All rows of a list.
async fn pages(fleet: &mut Fleet, path: &str, member: &str) -> KitResult<Vec<Value>> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let page = ask(fleet, &format!("{path}&limit={PAGE}{after}")).await?;
        let items = page.get(member).and_then(Value::as_array);
        rows.extend(items.into_iter().flatten().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(rows),
        }
    }
}

async fn ask(fleet: &mut Fleet, path: &str) -> KitResult<Value> {
    let answer = get(fleet, path).await?;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(KitError::new(format!("{path}: {}", answer.body)))
    }
}

/// Asks until a controller answers with something else than `unavailable`.
async fn get(fleet: &mut Fleet, path: &str) -> KitResult<rescind_testkit::Answer> {
    let end = Instant::now() + ANSWER_WITHIN;
    loop {
        let answer = fleet.door.get(path).await;
        fleet.tick()?;
        match answer {
            Ok(answer) if answer.status < 500 => return Ok(answer),
            Ok(answer) if Instant::now() > end => {
                return Err(KitError::new(format!("{path}: {} {}", answer.status, answer.body)));
            }
            Err(error) if Instant::now() > end => return Err(error),
            Ok(_) | Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Everything that was broken: what was noted while it ran, and the exact checks.
#[must_use]
pub fn violations(fleet: &Fleet) -> Vec<Violation> {
    let seen = fleet.evidence.seen();
    let mut all = seen.broken.clone();
    all.extend(check::s1(&seen, fleet.bound));
    all.extend(check::s2(&seen));
    all.extend(judge::judge(&seen, fleet.bound, fleet.realm.issuer().url()));
    // Why only agents: a controller may give up and be started again; an agent that ends takes its service along.
    let agents = fleet.ended.iter().filter(|ended| ended.name.starts_with("agent-"));
    all.extend(agents.map(|ended| Violation {
        guarantee: "L7",
        at_ns: mono_ns(),
        text: format!("{} ended by itself: {}", ended.name, ended.said),
    }));
    all
}
