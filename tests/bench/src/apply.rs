//! How fast changes become visible, and what readers notice of it.
//!
//! Everything goes through the agent's own state machine: an entry is decoded, its signature verified, its place
//! in the chain checked, its changes folded, and the view published where decisions read it.

mod follower;
mod readers;

use rescind_core::change::Change;
use rescind_core::position::{EntryHash, Head, Lane, Position};
use rescind_core::view::View;

use self::follower::{Follower, Publish};
use crate::Outcome;
use crate::arguments::Scale;
use crate::data;
use crate::measure::{Samples, Stopwatch};
use crate::realm::Realm;
use crate::report::{Figure, Sheet};

/// Changes of an entry in bulk: the most that an entry may carry.
const BULK_CHANGES: usize = 4096;

/// Entries that catch-up takes in before it publishes.
const CATCH_UP_ENTRIES: usize = 16;

/// Limit: changes per second in bulk.
const BULK_PER_SECOND_MIN: f64 = 1e6;
/// Limit: microseconds from bytes to visible for one change.
const VISIBLE_US_MAX: f64 = 200.0;

/// State that changes are applied to.
struct Base {
    view: View,
    head: Head,
}

pub(crate) fn run(scale: Scale) -> Outcome<Sheet> {
    let mut sheet = Sheet::new("apply");
    let size = scale.pick(1_000_000, 10_000);
    let realm = Realm::new()?;
    println!("   a view of {size} revocations ...");
    let base = Base {
        view: data::view(size, 0)?,
        head: Head { position: Position::new(1, size), hash: EntryHash([9; 32]) },
    };
    fold_alone(&base, size, scale, &mut sheet)?;
    let entries = scale.pick(96, 8);
    let changes = revocations(size, entries * BULK_CHANGES)?;
    let mut head = base.head;
    let messages = realm.sign(Lane::Deny, &mut head, changes, BULK_CHANGES);
    let each = changes_each(&messages, entries * BULK_CHANGES);
    sheet.note(format!(
        "bulk entries hold {each:.0} changes in {} bytes",
        messages.first().map_or(0, Vec::len)
    ));
    for (name, publish) in [
        ("catch-up, published every 16 entries", Publish::Every(CATCH_UP_ENTRIES)),
        ("live, published every entry", Publish::Every(1)),
    ] {
        let bulk = bulk(&realm, &base, &messages, publish)?;
        let rate = |samples: &Samples| samples.p50();
        sheet.add(
            Figure::value(format!("{name}, changes already decoded"), "changes/s", rate(&bulk.folding))
                .at_least(BULK_PER_SECOND_MIN),
        );
        sheet.add(Figure::value(
            format!("{name}, decoding and signature included"),
            "changes/s",
            rate(&bulk.whole),
        ));
    }
    one_change(&realm, &base, size, scale, &mut sheet)?;
    readers::run(&realm, &base, &messages, scale, &mut sheet)?;
    Ok(sheet)
}

fn revocations(first: u64, count: usize) -> Outcome<Vec<Change>> {
    (first..first + count as u64).map(data::revocation).collect()
}

fn changes_each(messages: &[Vec<u8>], changes: usize) -> f64 {
    changes as f64 / messages.len().max(1) as f64
}

/// The fold itself, into a view that nobody else holds: what a snapshot or a replay pays for a change.
fn fold_alone(base: &Base, size: u64, scale: Scale, sheet: &mut Sheet) -> Outcome {
    let mut rates = Samples::default();
    let mut view = base.view.clone();
    let changes = revocations(size, scale.pick(256, 16) * BULK_CHANGES)?;
    for batch in changes.chunks(BULK_CHANGES) {
        let watch = Stopwatch::start();
        for change in batch {
            view.apply(change)?;
        }
        rates.push(batch.len() as f64 / watch.seconds());
    }
    sheet.add(
        Figure::value("the fold alone, nothing published", "changes/s", rates.p50())
            .at_least(BULK_PER_SECOND_MIN),
    );
    Ok(())
}

/// Changes per second, one sample for each publication.
#[derive(Default)]
struct Bulk {
    folding: Samples,
    whole: Samples,
}

fn bulk(realm: &Realm, base: &Base, messages: &[Vec<u8>], publish: Publish) -> Outcome<Bulk> {
    let mut bulk = Bulk::default();
    let mut follower = Follower::new(realm, base.view.clone(), base.head)?;
    let Publish::Every(entries) = publish;
    for group in messages.chunks(entries) {
        let before = follower.applied();
        let whole = Stopwatch::start();
        let decoded = group.iter().map(|message| follower.decode(message)).collect::<Outcome<Vec<_>>>()?;
        let folding = Stopwatch::start();
        follower.take(decoded)?;
        let (folding_s, whole_s) = (folding.seconds(), whole.seconds());
        let changes = (follower.applied() - before) as f64;
        bulk.folding.push(changes / folding_s);
        bulk.whole.push(changes / whole_s);
    }
    Ok(bulk)
}

/// From the bytes of an entry with one change to the view in which decisions find it.
fn one_change(realm: &Realm, base: &Base, size: u64, scale: Scale, sheet: &mut Sheet) -> Outcome {
    let mut head = base.head;
    let messages = realm.sign(Lane::Deny, &mut head, revocations(size, scale.pick(3000, 200))?, 1);
    let mut follower = Follower::new(realm, base.view.clone(), base.head)?;
    let (mut visible, mut folding) = (Samples::default(), Samples::default());
    for message in &messages {
        let watch = Stopwatch::start();
        let decoded = follower.decode(message)?;
        let fold = Stopwatch::start();
        follower.take(vec![decoded])?;
        folding.push(fold.micros());
        visible.push(watch.micros());
    }
    sheet.add(
        Figure::spread("one change visible, signature included", "us", visible.spread())
            .at_most(VISIBLE_US_MAX),
    );
    sheet.add(
        Figure::tail("one change visible, 99th percentile", "us", visible.spread()).at_most(VISIBLE_US_MAX),
    );
    sheet.add(Figure::spread("  of which fold and publication", "us", folding.spread()));
    Ok(())
}
