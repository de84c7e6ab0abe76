//! The steps, in order. Each says what it does, waits until all three services show it, and is judged.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::expect::{ALLOW, Verdict};
use super::proxy::Link;
use super::stage::{Accepted, SERVICES, Stage, Token};
use super::timeline::{Outcome, Timeline, ms};
use crate::fault::Fault;

/// Limit: a step that no service shows within this time is wrong. Twice the longest lease of the demo.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// How often the script looks at what the load has seen.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Sessions that are revoked one after the other for the figures.
const SESSIONS_IN_A_ROW: usize = 40;
/// The bound that the cut-off service states: its lease of 2 s, the rate error of 0.5 %, and the time from
/// the clock reading to the answer.
const BOUND: Duration = Duration::from_millis(2_000 + 10 + 40);

/// The service whose agent reaches the broker through the proxy.
const CUT: usize = 0;

/// Plays all steps.
pub(super) async fn play(stage: &mut Stage, timeline: &mut Timeline) -> Result<(), Fault> {
    let ada = stage.caller("u-ada", |token| token.roles = vec!["refunds"], ALLOW).await?;
    let mallory = stage.caller("u-mia", |token| token.session = Some("s-stolen".to_owned()), ALLOW).await?;
    let mia = stage.caller("u-mia", |token| token.session = Some("s-own".to_owned()), ALLOW).await?;
    let rita = stage.caller("u-rita", |token| token.roles = vec!["refunds"], ALLOW).await?;
    let tom = stage.caller("u-tom", |token| token.tenant = "t-green", ALLOW).await?;
    let leo = stage.caller("u-leo", |_| {}, ALLOW).await?;
    allowed(stage, timeline, &[ada, mallory, mia, rita, tom, leo]).await?;
    session(stage, timeline, mallory).await?;
    sessions_in_a_row(stage, timeline).await?;
    role(stage, timeline, rita).await?;
    tenant(stage, timeline, tom).await?;
    user(stage, timeline, leo).await?;
    cut_off(stage, timeline, mia).await
}

/// Every caller is asked about at every service before anything is taken away.
async fn allowed(stage: &Stage, timeline: &mut Timeline, callers: &[usize]) -> Result<(), Fault> {
    let started = Instant::now();
    let all_allowed = || {
        let places =
            callers.iter().flat_map(|caller| (0..SERVICES.len()).map(move |service| (*caller, service)));
        places.into_iter().all(|place| stage.expectations.last_allow(place).is_some())
    };
    let ok = shown(all_allowed).await;
    let (decisions, _) = stage.expectations.counts();
    timeline.step(Outcome {
        step: "requests allowed",
        what: format!("{} callers are allowed at {} services", callers.len(), SERVICES.len()),
        took: format!("{decisions} decisions"),
        ok,
        details: json!({"callers": callers.len(), "services": SERVICES.len(), "took_ms": ms(started.elapsed())}),
    });
    Ok(())
}

async fn session(stage: &Stage, timeline: &mut Timeline, caller: usize) -> Result<(), Fault> {
    let target = format!("session:{}#s-stolen", stage.issuer());
    let ask = json!({"kind": "revoke", "target": target, "incident": "INC-1", "reason_code": "compromise"});
    change(
        stage,
        timeline,
        Step {
            name: "session revoked",
            says: "session s-stolen revoked; the user's own session stays alive",
            ask,
            caller,
            verdict: "revoked.session",
        },
    )
    .await?;
    Ok(())
}

/// Measures in the process itself: decisions of the three agents, asked without HTTP.
async fn sessions_in_a_row(stage: &Stage, timeline: &mut Timeline) -> Result<(), Fault> {
    let mut worst = Duration::ZERO;
    let mut ok = true;
    for number in 0..SESSIONS_IN_A_ROW {
        let session = format!("s-row-{number}");
        let token = stage.mint("u-ada", |token| token.session = Some(session.clone())).await?;
        ok &= stage.all_decide(&token, ALLOW);
        let target = format!("session:{}#{session}", stage.issuer());
        let accepted = stage.direct(json!({"kind": "revoke", "target": target})).await?;
        for took in stage.first_denies(&token, "revoked.session", &accepted, SHOWN_WITHIN).await {
            ok &= took.is_some();
            let took = took.unwrap_or(SHOWN_WITHIN);
            worst = worst.max(took);
            timeline.sample(took);
        }
    }
    timeline.step(Outcome {
        step: "sessions in a row",
        what: format!("{SESSIONS_IN_A_ROW} sessions revoked one by one, denied by every agent"),
        took: format!("slowest {:.1} ms", ms(worst)),
        ok,
        details: json!({"sessions": SESSIONS_IN_A_ROW, "slowest_ms": ms(worst)}),
    });
    Ok(())
}

async fn role(stage: &Stage, timeline: &mut Timeline, caller: usize) -> Result<(), Fault> {
    let membership = stage.membership_of("u-rita")?;
    let ask = json!({"kind": "withdraw", "entitlement": membership});
    change(
        stage,
        timeline,
        Step {
            name: "role withdrawn",
            says: "role refunds withdrawn while the token still claims it",
            ask,
            caller,
            verdict: "entitlement.absent",
        },
    )
    .await?;
    let drifts: Vec<String> = (0..SERVICES.len())
        .filter_map(|service| stage.expectations.seen((caller, service)).and_then(|seen| seen.drift))
        .collect();
    let named = drifts.iter().filter(|drift| drift.contains("refunds")).count() == SERVICES.len();
    timeline.step(Outcome {
        step: "drift named",
        what: drifts
            .first()
            .map_or_else(|| "no drift was named".to_owned(), |drift| format!("drift: {drift}")),
        took: format!("{} services", drifts.len()),
        ok: named,
        details: json!({"drift": drifts.first()}),
    });
    Ok(())
}

async fn tenant(stage: &Stage, timeline: &mut Timeline, caller: usize) -> Result<(), Fault> {
    let killed = change(
        stage,
        timeline,
        Step {
            name: "tenant killed",
            says: "tenant t-green killed",
            ask: json!({"kind": "kill", "target": "tenant:t-green"}),
            caller,
            verdict: "killed.tenant",
        },
    )
    .await?;
    change(
        stage,
        timeline,
        Step {
            name: "tenant lifted",
            says: "kill lifted; old tokens are alive again",
            ask: json!({"kind": "lift", "record": killed.id, "cutoff": "resume"}),
            caller,
            verdict: ALLOW,
        },
    )
    .await?;
    Ok(())
}

async fn user(stage: &mut Stage, timeline: &mut Timeline, caller: usize) -> Result<(), Fault> {
    let target = format!("user:{}#u-leo", stage.issuer());
    let disabled = change(
        stage,
        timeline,
        Step {
            name: "user disabled",
            says: "user u-leo disabled",
            ask: json!({"kind": "disable", "target": target, "reason_code": "leaver"}),
            caller,
            verdict: "disabled.identity",
        },
    )
    .await?;
    change(
        stage,
        timeline,
        Step {
            name: "user reinstated",
            says: "user u-leo reinstated; the old token stays dead",
            ask: json!({"kind": "reinstate", "record": disabled.id}),
            caller,
            verdict: "revoked.cutoff",
        },
    )
    .await?;
    stage.next_second(disabled.cutoff.unwrap_or_default()).await;
    let again = stage.caller("u-leo", |_| {}, ALLOW).await?;
    let places: Vec<_> = (0..SERVICES.len()).map(|service| (again, service)).collect();
    let ok = shown(|| places.iter().all(|place| stage.expectations.last_allow(*place).is_some())).await;
    timeline.step(Outcome {
        step: "new login",
        what: "a token issued after the disable is allowed".to_owned(),
        took: format!("{} services", SERVICES.len()),
        ok,
        details: json!({"services": SERVICES.len()}),
    });
    Ok(())
}

/// One agent is cut off from the broker: it allows until its bound, then denies; the board says so.
async fn cut_off(stage: &Stage, timeline: &mut Timeline, victim: usize) -> Result<(), Fault> {
    let before = stage.verdicts(CUT);
    stage.proxy.set(Link::Silent);
    let cut_at = Instant::now();
    for (caller, _) in &before {
        stage.expectations.turn((*caller, CUT), "stale.strict");
    }
    timeline.say(&format!(
        "       the agent of {} is cut off from the broker, without being told",
        SERVICES[CUT].0
    ));
    let target = format!("session:{}#s-own", stage.issuer());
    for service in 1..SERVICES.len() {
        stage.turn(victim, service, "revoked.session");
    }
    let accepted = stage.direct(json!({"kind": "revoke", "target": target})).await?;
    let others =
        shown(|| (1..SERVICES.len()).all(|service| stage.expectations.seen((victim, service)).is_some()));
    let others = others.await;
    let board = stage.board(&accepted.id, Duration::ZERO).await?;
    partial(timeline, &accepted, &board, others);
    let stale =
        shown(|| before.iter().all(|(caller, _)| stage.expectations.seen((*caller, CUT)).is_some())).await;
    let last = before.iter().filter_map(|(caller, _)| stage.expectations.last_allow((*caller, CUT))).max();
    let held = last.map(|last| last.saturating_duration_since(cut_at)).unwrap_or_default();
    timeline.step(Outcome {
        step: "agent cut off",
        what: format!(
            "{} denies stale.strict; its last allow came {:.0} ms after the cut, the bound is {} ms",
            SERVICES[CUT].0,
            ms(held),
            BOUND.as_millis()
        ),
        took: format!("{:.0} of {} ms", ms(held), BOUND.as_millis()),
        ok: stale && held <= BOUND,
        details: json!({"last_allow_ms": ms(held), "bound_ms": ms(BOUND)}),
    });
    fenced(stage, timeline, &accepted).await?;
    heal(stage, timeline, victim, &before).await
}

fn partial(timeline: &mut Timeline, accepted: &Accepted, board: &Value, others: bool) {
    let state = board.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
    timeline.step(Outcome {
        step: "revoked meanwhile",
        what: format!(
            "{} reached the other services; the board says {}",
            accepted.id,
            state.replace('_', " ")
        ),
        took: state.replace('_', " "),
        ok: others && state != "enforced",
        details: json!({"record": accepted.id, "board": state}),
    });
}

/// The silent agent's lease has ended: the record is enforced although it never heard of it.
async fn fenced(stage: &Stage, timeline: &mut Timeline, accepted: &Accepted) -> Result<(), Fault> {
    let board = stage.board(&accepted.id, SHOWN_WITHIN).await?;
    let rows = board.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
    let fenced =
        rows.iter().filter(|row| row.get("status").and_then(Value::as_str) == Some("fenced")).count();
    let enforced = board.get("state").and_then(Value::as_str) == Some("enforced");
    let took = board.get("accepted_to_enforced_ms").and_then(Value::as_f64).unwrap_or_default();
    timeline.step(Outcome {
        step: "enforced by lease",
        what: format!("{} is enforced: {fenced} silent agent can only deny by now", accepted.id),
        took: format!("{took:.0} ms"),
        ok: enforced && fenced == 1,
        details: json!({"record": accepted.id, "fenced": fenced, "accepted_to_enforced_ms": took}),
    });
    Ok(())
}

async fn heal(
    stage: &Stage,
    timeline: &mut Timeline,
    victim: usize,
    before: &[(usize, Verdict)],
) -> Result<(), Fault> {
    for (caller, verdict) in before {
        let verdict = if *caller == victim { "revoked.session" } else { *verdict };
        stage.turn(*caller, CUT, verdict);
    }
    stage.proxy.set(Link::Open);
    let healed_at = Instant::now();
    let ok =
        shown(|| before.iter().all(|(caller, _)| stage.expectations.seen((*caller, CUT)).is_some())).await;
    let seen =
        before.iter().filter_map(|(caller, _)| stage.expectations.seen((*caller, CUT))).map(|seen| seen.at);
    let took = seen.max().map(|at| at.saturating_duration_since(healed_at)).unwrap_or_default();
    timeline.step(Outcome {
        step: "healed",
        what: format!("{} is fresh again and knows what it missed", SERVICES[CUT].0),
        took: format!("{:.0} ms", ms(took)),
        ok,
        details: json!({"fresh_after_ms": ms(took)}),
    });
    Ok(())
}

/// One change that one caller notices at every service.
struct Step<'a> {
    name: &'static str,
    says: &'a str,
    ask: Value,
    caller: usize,
    verdict: Verdict,
}

/// Sends the directive and waits until every service has shown it.
async fn change(stage: &Stage, timeline: &mut Timeline, step: Step<'_>) -> Result<Accepted, Fault> {
    for service in 0..SERVICES.len() {
        stage.turn(step.caller, service, step.verdict);
    }
    let accepted = stage.direct(step.ask).await?;
    let seen = |service| stage.expectations.seen((step.caller, service));
    let ok = shown(|| (0..SERVICES.len()).all(|service| seen(service).is_some())).await;
    let mut figures = Vec::new();
    for (service, (name, _)) in SERVICES.iter().enumerate() {
        let took = seen(service).map(|seen| accepted.until(seen.at));
        if let Some(took) = took.filter(|_| step.verdict != ALLOW) {
            timeline.sample(took);
        }
        figures.push(json!({"service": name, "ms": took.map(ms)}));
    }
    let list: Vec<String> = (0..SERVICES.len())
        .map(|service| {
            seen(service).map_or("-".to_owned(), |seen| format!("{:.1}", ms(accepted.until(seen.at))))
        })
        .collect();
    timeline.step(Outcome {
        step: step.name,
        what: format!("{} ({}): {} after {} ms", step.says, accepted.id, step.verdict, list.join(" / ")),
        took: format!("{} ms", list.join(" / ")),
        ok,
        details: json!({"record": accepted.id, "expected": step.verdict, "services": figures}),
    });
    Ok(accepted)
}

/// Waits, bounded, until `condition` holds.
async fn shown(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + SHOWN_WITHIN;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

impl Token {
    /// A token with nothing special.
    pub(super) const fn plain() -> Self {
        Self { session: None, roles: Vec::new(), tenant: "t-blue" }
    }
}
