//! How fast the controller accepts: one directive at a time, and in bulk.

use rescind_testkit::{Api, TestRealm};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::arguments::Scale;
use crate::data::{SERVICE, session};
use crate::measure::{Samples, Stopwatch};
use crate::report::{Figure, Sheet};

/// Limit: milliseconds until one directive is accepted.
const ACCEPTED_MS_MAX: f64 = 10.0;
/// Limit: directives per second in bulk.
const BULK_PER_SECOND_MIN: f64 = 20_000.0;

/// Directives of one bulk request: the most that the API takes.
pub(crate) const BULK_DIRECTIVES: u64 = 10_000;
/// Bulk requests under way at once.
const BULK_CLIENTS: usize = 4;

pub(super) async fn run(scale: Scale, sheet: &mut Sheet) -> Outcome {
    println!("   directives ...");
    let realm = TestRealm::builder().agent("payments-1", SERVICE).start().await?;
    let api = realm.api("ir")?;
    let issuer = realm.issuer().url().to_owned();
    let mut single = Samples::default();
    for number in 0..scale.pick(500, 20) {
        let target = format!("session:{issuer}#single-{number}");
        let watch = Stopwatch::start();
        api.record("revoke", &target).await?;
        single.push(watch.micros() / 1e3);
    }
    sheet.add(Figure::spread("one directive until accepted", "ms", single.spread()).at_most(ACCEPTED_MS_MAX));
    let rates = bulk(&api, &issuer, scale.pick(30, 2)).await?;
    sheet.add(Figure::value("directives accepted in bulk", "1/s", rates).at_least(BULK_PER_SECOND_MIN));
    sheet.note(format!(
        "bulk: {BULK_CLIENTS} clients at once, {BULK_DIRECTIVES} directives in a request, all of it on this machine"
    ));
    Ok(())
}

/// Accepts that many bulk requests; directives per second over all of them.
///
/// # Errors
/// A directive was not accepted.
pub(crate) async fn bulk(api: &Api, issuer: &str, requests: u64) -> Outcome<f64> {
    let mut bodies: Vec<Value> = (0..requests).map(|number| body(issuer, number * BULK_DIRECTIVES)).collect();
    let watch = Stopwatch::start();
    let mut posts = JoinSet::new();
    while !bodies.is_empty() || !posts.is_empty() {
        if posts.len() < BULK_CLIENTS
            && let Some(body) = bodies.pop()
        {
            let api = api.clone();
            posts.spawn(async move { all_accepted(&api, &body).await });
        } else if let Some(posted) = posts.join_next().await {
            posted??;
        }
    }
    Ok((requests * BULK_DIRECTIVES) as f64 / watch.seconds())
}

async fn all_accepted(api: &Api, body: &Value) -> Outcome {
    let answer = api.post(body).await?;
    let results = answer.field("results").as_array().map(Vec::as_slice).unwrap_or_default();
    let accepted =
        results.iter().filter(|result| result.get("state").is_some_and(|state| state == "accepted"));
    if accepted.count() as u64 == BULK_DIRECTIVES {
        return Ok(());
    }
    let other = results.iter().find(|result| result.get("state").is_none_or(|state| state != "accepted"));
    let what = other.unwrap_or(&answer.body).to_string().chars().take(300).collect::<String>();
    Err(format!("a bulk request was answered with {}: {what}", answer.status).into())
}

fn body(issuer: &str, first: u64) -> Value {
    let directives: Vec<Value> = (first..first + BULK_DIRECTIVES)
        .map(|number| {
            json!({
                "kind": "revoke", "target": format!("session:{issuer}#{}", session(number)),
                "idempotency_key": format!("bulk-{number}"), "reason_code": "leaver",
            })
        })
        .collect();
    json!({ "directives": directives })
}
