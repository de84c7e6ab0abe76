//! The decision alone: the caller's claims are verified and at hand.

use std::hint::black_box;

use rescind_core::decide::{Bearer, Decision, Enforcement, Query, StalePolicies, decide};

use super::{BATCH, ROUNDS, State};
use crate::Outcome;
use crate::allocations::counted;
use crate::data::{self, ACTION, SERVICE};
use crate::dice::Dice;
use crate::measure::{Case, Stopwatch, alternate, boot_clock};
use crate::report::{Figure, Sheet};

/// Callers with live tokens: some may do what they ask for, some are revoked.
pub(super) struct Callers<'a> {
    state: &'a State,
    enforcement: Enforcement,
    // Why boxed: in an agent each lies with its cached token, wherever that is.
    #[expect(clippy::vec_box, reason = "each token of a service has an allocation of its own")]
    entitled: Vec<Box<Bearer>>,
    #[expect(clippy::vec_box, reason = "as above")]
    revoked: Vec<Box<Bearer>>,
    /// What callers ask for, in order of their number.
    resources: Vec<String>,
}

/// What arrived: whose it is is found out before the clock runs, its text is in cache as after reading it.
#[derive(Default)]
pub(super) struct Arrived<'a> {
    requests: Vec<(&'a Bearer, &'a str)>,
}

impl<'a> Callers<'a> {
    pub(super) fn new(state: &'a State, live: u64) -> Self {
        let bearer = |number: u64, session: &str| Box::new(data::bearer(number, state.users, session));
        let resource = |number: u64| data::resource_of(data::user_of(number, state.users));
        Self {
            state,
            enforcement: Enforcement::new(&data::hasher(), SERVICE, StalePolicies::default()),
            entitled: (0..live).map(|number| bearer(number, &format!("live-{number:032x}"))).collect(),
            revoked: (0..live).map(|number| bearer(number, &state.revoked_session(number))).collect(),
            resources: (0..live).map(resource).collect(),
        }
    }

    pub(super) fn allow<'c>(&'c self, times: u32, dice: &mut Dice, arrived: &mut Arrived<'c>) -> u64 {
        self.ask(&self.entitled, times, dice, arrived)
    }

    fn deny<'c>(&'c self, times: u32, dice: &mut Dice, arrived: &mut Arrived<'c>) -> u64 {
        self.ask(&self.revoked, times, dice, arrived)
    }

    fn ask<'c>(
        &'c self,
        bearers: &'c [Box<Bearer>],
        times: u32,
        dice: &mut Dice,
        arrived: &mut Arrived<'c>,
    ) -> u64 {
        arrived.requests.clear();
        for _ in 0..times {
            let place = dice.place(bearers.len());
            if let (Some(bearer), Some(resource)) = (bearers.get(place), self.resources.get(place)) {
                black_box(resource.as_bytes().iter().fold(0_u8, |sum, byte| sum ^ byte));
                arrived.requests.push((bearer, resource));
            }
        }
        let watch = Stopwatch::start();
        for (bearer, resource) in &arrived.requests {
            black_box(self.decide(bearer, resource));
        }
        watch.ns()
    }

    #[inline]
    fn decide(&self, bearer: &Bearer, resource: &str) -> Decision {
        let published = self.state.published.load();
        let query = Query { bearer, action: ACTION, resource, tenant: None };
        decide(&published, &self.enforcement, &query, boot_clock)
    }

    /// Every caller gets the answer that was meant for it.
    fn check(&self) -> Outcome {
        let asked = |bearers: &[Box<Bearer>], wanted: bool| {
            let mut both = bearers.iter().zip(&self.resources);
            both.all(|(bearer, resource)| self.decide(bearer, resource).is_allow() == wanted)
        };
        let as_meant = asked(&self.entitled, true) && asked(&self.revoked, false);
        if as_meant { Ok(()) } else { Err("a decision was not the expected one".into()) }
    }
}

pub(super) fn run(
    state: &State,
    live: u64,
    samples: usize,
    sheet: &mut Sheet,
    limit_ns: Option<f64>,
) -> Outcome {
    let callers = Callers::new(state, live);
    callers.check()?;
    let (mut one, mut other) = ((Dice::new(1), Arrived::default()), (Dice::new(2), Arrived::default()));
    let mut allow = Case::new(BATCH, |times| callers.allow(times, &mut one.0, &mut one.1));
    let mut deny = Case::new(BATCH, |times| callers.deny(times, &mut other.0, &mut other.1));
    alternate(&mut [&mut allow, &mut deny], ROUNDS, samples);
    for (effect, case) in [("allow", &allow), ("deny", &deny)] {
        let name = format!("decision alone, {effect}, {live} live tokens, {}", state.name);
        let figure = Figure::spread(name, "ns", case.spread());
        sheet.add(if let Some(limit) = limit_ns { figure.at_most(limit) } else { figure });
    }
    drop((allow, deny));
    if limit_ns.is_some() {
        let mut arrived = Arrived { requests: Vec::with_capacity(10_000) };
        let mut dice = Dice::new(3);
        let (_, allocated) = counted(|| {
            callers.allow(10_000, &mut dice, &mut arrived);
            callers.deny(10_000, &mut dice, &mut arrived);
        });
        sheet
            .add(Figure::value("  allocations in 20,000 decisions", "", allocated.count as f64).at_most(0.0));
    }
    Ok(())
}
