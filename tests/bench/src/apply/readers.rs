//! What a reader notices while changes are applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use rescind_core::decide::{Bearer, Enforcement, Published, Query, StalePolicies, decide};

use super::Base;
use super::follower::Follower;
use crate::Outcome;
use crate::arguments::Scale;
use crate::data::{self, ACTION, SERVICE};
use crate::dice::Dice;
use crate::measure::{Samples, Stopwatch, boot_clock};
use crate::realm::Realm;
use crate::report::{Figure, Sheet};

/// Callers whose decisions are watched.
const BEARERS: u64 = 1000;

/// Limit: samples that are kept; more are measured but only their worst counts.
const SAMPLES_MAX: usize = 4_000_000;

pub(super) fn run(
    realm: &Realm,
    base: &Base,
    messages: &[Vec<u8>],
    scale: Scale,
    sheet: &mut Sheet,
) -> Outcome {
    let bearers: Arc<[Bearer]> =
        (0..BEARERS).map(|number| data::bearer(number, BEARERS, &data::session(number))).collect();
    let still = Arc::new(ArcSwap::new(data::published(base.view.clone())));
    let idle = watched(&still, &bearers, || {
        thread::sleep(scale.pick(Duration::from_secs(2), Duration::from_millis(100)));
        Ok(Samples::default())
    })?;
    let mut follower = Follower::new(realm, base.view.clone(), base.head)?;
    let applying = watched(&follower.published(), &bearers, || {
        let mut steps = Samples::default();
        for message in messages {
            let decoded = follower.decode(message)?;
            let watch = Stopwatch::start();
            follower.take(vec![decoded])?;
            steps.push(watch.micros());
        }
        Ok(steps)
    })?;
    let step_us = applying.writer.p50();
    let worst = |samples: &Samples| samples.quantile(0.9999);
    sheet.add(Figure::value("one apply step of 4,096 changes", "us", step_us));
    sheet.add(Figure::tail("decision, p99, nothing applied meanwhile", "us", idle.reader.spread()));
    sheet.add(Figure::tail("decision, p99, while applying", "us", applying.reader.spread()));
    sheet.add(Figure::value("decision, p99.99, nothing applied meanwhile", "us", worst(&idle.reader)));
    // Why this target: a reader that had to wait for the writer would wait for about one step.
    sheet.add(
        Figure::value("decision, p99.99, while applying", "us", worst(&applying.reader)).at_most(step_us),
    );
    let waited = applying.reader.share_above(step_us);
    sheet.note(format!(
        "{:.4} % of decisions took longer than one apply step while applying, {:.4} % while idle: the scheduler",
        waited * 100.0,
        idle.reader.share_above(step_us) * 100.0,
    ));
    Ok(())
}

struct Watched {
    reader: Samples,
    writer: Samples,
}

/// Times every decision of one thread while `work` runs on this one.
fn watched(
    published: &Arc<ArcSwap<Published>>,
    bearers: &Arc<[Bearer]>,
    work: impl FnOnce() -> Outcome<Samples>,
) -> Outcome<Watched> {
    let ended = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let (published, bearers, ended) = (Arc::clone(published), Arc::clone(bearers), Arc::clone(&ended));
        move || read(&published, &bearers, &ended)
    });
    let writer = work();
    ended.store(true, Ordering::Relaxed);
    let reader = reader.join().map_err(|_| "the reader failed")?;
    Ok(Watched { reader, writer: writer? })
}

fn read(published: &ArcSwap<Published>, bearers: &[Bearer], ended: &AtomicBool) -> Samples {
    let enforcement = Enforcement::new(&data::hasher(), SERVICE, StalePolicies::default());
    let mut samples = Samples::default();
    let mut dice = Dice::new(5);
    while !ended.load(Ordering::Relaxed) {
        let Some(bearer) = dice.pick(bearers) else { break };
        let watch = Stopwatch::start();
        let query = Query { bearer, action: ACTION, resource: "/orders/1/items", tenant: None };
        std::hint::black_box(decide(&published.load(), &enforcement, &query, boot_clock));
        let took = watch.micros();
        if samples.len() < SAMPLES_MAX {
            samples.push(took);
        }
    }
    samples
}
