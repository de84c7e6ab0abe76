//! One decision: alone, as the whole check of a token, and beside the same question asked elsewhere.

mod alone;
mod cold;
mod http;
mod redis;
mod tokens;
mod whole;

use std::cell::Cell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rescind_core::decide::Published;
use rescind_token::Algorithm;

use self::alone::Callers;
use self::http::Introspection;
use self::redis::Redis;
use self::tokens::Tokens;
use self::whole::{Arrived, Checks};
use crate::Outcome;
use crate::arguments::Scale;
use crate::data;
use crate::dice::Dice;
use crate::measure::{Case, alternate};
use crate::report::{Figure, Sheet, chain};

/// Decisions of one sample.
const BATCH: u32 = 100;
/// Times that everything is measured alternately.
const ROUNDS: usize = 9;

/// Limit: nanoseconds of a decision about verified claims, 1,000 live tokens.
const ALONE_NS_MAX: f64 = 150.0;
/// Limit: nanoseconds of the whole check with 1,000 live tokens.
const WHOLE_NS_MAX: f64 = 300.0;
/// Limit: the same with 20,000.
const WHOLE_MANY_NS_MAX: f64 = 1000.0;
/// Limit: how many times faster than one Redis `EXISTS` over TCP.
const REDIS_RATIO_MIN: f64 = 200.0;

/// What is asked about over HTTP.
const OPAQUE_TOKEN: &str = "9f3c0b7e5d2a48c1b6e4f7a091d3c5e8";

/// Live tokens of a small and of a large service.
const LIVE: [u64; 2] = [1000, 20_000];

/// One state of the view.
pub(super) struct State {
    name: String,
    pub(super) published: Arc<ArcSwap<Published>>,
    pub(super) revocations: u64,
    pub(super) users: u64,
}

impl State {
    fn new(revocations: u64, entitlements: u64) -> Outcome<Self> {
        let name = format!("{revocations} revocations, {entitlements} entitlements");
        println!("   {name} ...");
        let view = data::view(revocations, entitlements)?;
        let published = Arc::new(ArcSwap::new(data::published(view)));
        Ok(Self { name, published, revocations, users: entitlements / data::RIGHTS_PER_USER })
    }

    /// The session of a live token that is revoked in this state.
    pub(super) fn revoked_session(&self, number: u64) -> String {
        data::session((number * 104_729 % self.revocations) | 1)
    }
}

pub(crate) fn run(scale: Scale) -> Outcome<Sheet> {
    let mut sheet = Sheet::new("decide");
    let small = State::new(1000, scale.pick(100_000, 4000))?;
    let large = State::new(scale.pick(1_000_000, 20_000), scale.pick(1_000_000, 20_000))?;
    let samples = scale.pick(400, 20);
    for live in LIVE {
        alone::run(&small, live, samples, &mut sheet, None)?;
        let limit = (live <= 1000).then_some(ALONE_NS_MAX);
        alone::run(&large, live, samples, &mut sheet, limit)?;
    }
    println!("   signing {} tokens ...", LIVE[1]);
    // Why not RSA when quick: its signatures take most of a millisecond each.
    let signer = Tokens::new(scale.pick(Algorithm::Rs256, Algorithm::EdDsa))?;
    let tokens = signer.sign_all(0, scale.pick(LIVE[1], 2000), large.users)?;
    sheet.note(format!("tokens have {} bytes", tokens.first().map_or(0, String::len)));
    for (live, limit) in LIVE.into_iter().zip([WHOLE_NS_MAX, WHOLE_MANY_NS_MAX]) {
        let live = usize::try_from(live)?.min(tokens.len());
        let checks = Checks::new(&large, &signer, tokens.get(..live).unwrap_or_default())?;
        whole(&large, &checks, live, limit, samples, &mut sheet);
        if limit <= WHOLE_NS_MAX {
            elsewhere(&large, &checks, scale, &mut sheet)?;
        }
    }
    sheet.note("requests are as just read: their text is in cache, what the agent holds about them is not");
    cold::run(&large, scale, &mut sheet)?;
    Ok(sheet)
}

/// The whole check: token cache and decision.
fn whole(state: &State, checks: &Checks, live: usize, limit_ns: f64, samples: usize, sheet: &mut Sheet) {
    let (mut one, mut other) = ((Dice::new(5), Arrived::default()), (Dice::new(6), Arrived::default()));
    let mut allow = Case::new(BATCH, |times| checks.allow(times, &mut one.0, &mut one.1));
    let mut deny = Case::new(BATCH, |times| checks.deny(times, &mut other.0, &mut other.1));
    alternate(&mut [&mut allow, &mut deny], ROUNDS, samples);
    for (effect, case) in [("allow", &allow), ("deny", &deny)] {
        let name = format!("whole check, {effect}, {live} live tokens, {}", state.name);
        sheet.add(Figure::spread(name, "ns", case.spread()).at_most(limit_ns));
    }
    let count = checks.allocations(10_000);
    sheet.add(Figure::value("  allocations in 20,000 whole checks", "", count as f64).at_most(0.0));
}

/// The same question over a socket, alternately with ours.
fn elsewhere(state: &State, checks: &Checks, scale: Scale, sheet: &mut Sheet) -> Outcome {
    let callers = Callers::new(state, LIVE[0]);
    let mut introspection = Introspection::start()?;
    let mut redis = Redis::start(state.revocations)
        .inspect_err(|error| sheet.note(format!("no figures for Redis: {}", chain(error.as_ref()))))
        .ok();
    let failed = Cell::new(0_u64);
    let note = |outcome: Outcome| failed.set(failed.get() + u64::from(outcome.is_err()));
    let mut dice = [11, 12, 13].map(Dice::new);
    let [one, two, three] = &mut dice;
    let (mut texts, mut claims) = (Arrived::default(), alone::Arrived::default());
    let mut whole = Case::new(BATCH, |times| checks.allow(times, one, &mut texts));
    let mut alone = Case::new(BATCH, |times| callers.allow(times, two, &mut claims));
    let mut http = Case::single(|| note(introspection.ask(OPAQUE_TOKEN)));
    let mut exists =
        redis.as_mut().map(|redis| Case::single(move || note(redis.exists(three.roll()).map(drop))));
    let mut all = vec![&mut whole, &mut alone, &mut http];
    all.extend(exists.as_mut());
    alternate(&mut all, ROUNDS, scale.pick(400, 40));
    if let Some(exists) = &exists {
        sheet.note(format!("Redis holds {} keys; one EXISTS at a time over loopback TCP", state.revocations));
        sheet.add(Figure::spread("one Redis EXISTS over TCP", "ns", exists.spread()));
        let ratio = Figure::value("  times longer than the whole check", "x", exists.ratio_to(&whole));
        sheet.add(ratio.at_least(REDIS_RATIO_MIN));
        sheet.add(Figure::value("  times longer than the decision alone", "x", exists.ratio_to(&alone)));
    }
    sheet.add(Figure::spread("one HTTP introspection, bare axum handler", "ns", http.spread()));
    sheet.add(Figure::value("  times longer than the whole check", "x", http.ratio_to(&whole)));
    match failed.get() {
        0 => Ok(()),
        failed => Err(format!("{failed} questions over a socket failed").into()),
    }
}
