//! The whole check as a service asks it: a compact token in, a decision out.

use std::hint::black_box;
use std::sync::Arc;

use rescind_agent::offline::{Offline, OfflineParts};
use rescind_agent::{Query, TOKEN_CACHE_SLOTS_DEFAULT};
use rescind_core::change::ChangeBody;
use rescind_core::decide::{Published, StalePolicies};
use rescind_core::record::Record;
use rescind_core::target::Target;

use super::State;
use super::tokens::{Tokens, live_session};
use crate::Outcome;
use crate::allocations::counted;
use crate::data::{self, ACTION, ISSUER, SERVICE};
use crate::dice::Dice;
use crate::measure::Stopwatch;

/// A token and what its bearer asks for.
struct Request {
    token: String,
    resource: String,
}

/// Two agents that know the same live tokens; for the second one their sessions are revoked.
pub(super) struct Checks {
    open: Offline,
    shut: Offline,
    requests: Vec<Request>,
}

impl Checks {
    /// `tokens` are those of live tokens 0, 1, 2 ...
    pub(super) fn new(state: &State, signer: &Tokens, tokens: &[String]) -> Outcome<Self> {
        let open = state.published.load_full();
        let shut = Arc::new(revoked(&open, state.revocations, tokens.len() as u64)?);
        let resource = |number| data::resource_of(data::user_of(number, state.users));
        let requests = tokens
            .iter()
            .zip(0..)
            .map(|(token, number)| Request { token: token.clone(), resource: resource(number) });
        let checks =
            Self { open: agent(open, signer), shut: agent(shut, signer), requests: requests.collect() };
        checks.verify_all()?;
        Ok(checks)
    }

    pub(super) fn allow(&self, times: u32, dice: &mut Dice, arrived: &mut Arrived) -> u64 {
        self.ask(&self.open, times, dice, arrived)
    }

    pub(super) fn deny(&self, times: u32, dice: &mut Dice, arrived: &mut Arrived) -> u64 {
        self.ask(&self.shut, times, dice, arrived)
    }

    fn ask(&self, agent: &Offline, times: u32, dice: &mut Dice, arrived: &mut Arrived) -> u64 {
        arrived.receive((0..times).filter_map(|_| dice.pick(&self.requests)));
        let watch = Stopwatch::start();
        for (token, resource) in arrived.requests() {
            black_box(agent.decide(&Query { token, action: ACTION, resource, tenant: None }));
        }
        watch.ns()
    }

    /// Every token gets the answer that was meant for it; afterwards it is cached.
    fn verify_all(&self) -> Outcome {
        for request in &self.requests {
            let (open, shut) = (self.open.decide(&request.query()), self.shut.decide(&request.query()));
            if !open.is_allow() || shut.reason.code() != "revoked.session" {
                return Err(format!("not as meant: {}, {}", open.reason, shut.reason).into());
            }
        }
        Ok(())
    }

    /// Allocations of this many allows and as many denies.
    pub(super) fn allocations(&self, times: u32) -> u64 {
        let (mut dice, mut arrived) = (Dice::new(3), Arrived::default());
        // Why once before: afterwards its buffers are as large as they have to be.
        self.allow(times, &mut dice, &mut arrived);
        let (_, allocated) = counted(|| {
            self.allow(times, &mut dice, &mut arrived);
            self.deny(times, &mut dice, &mut arrived);
        });
        allocated.count
    }
}

/// Requests as they were just read: their text lies together and is in cache, before the clock runs. What the
/// agent knows about their tokens is not.
#[derive(Default)]
pub(super) struct Arrived {
    text: String,
    ends: Vec<(usize, usize)>,
}

impl Arrived {
    fn receive<'a>(&mut self, requests: impl Iterator<Item = &'a Request>) {
        self.text.clear();
        self.ends.clear();
        for request in requests {
            self.text.push_str(&request.token);
            let token_end = self.text.len();
            self.text.push_str(&request.resource);
            self.ends.push((token_end, self.text.len()));
        }
    }

    fn requests(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().filter_map(move |(token_end, end)| {
            let token = self.text.get(start..*token_end)?;
            start = *end;
            Some((token, self.text.get(*token_end..*end)?))
        })
    }
}

impl Request {
    fn query(&self) -> Query<'_> {
        Query { token: &self.token, action: ACTION, resource: &self.resource, tenant: None }
    }
}

pub(super) fn agent(published: Arc<Published>, signer: &Tokens) -> Offline {
    Offline::new(OfflineParts {
        published,
        service: SERVICE.into(),
        policies: StalePolicies::default(),
        issuers: signer.trust.clone(),
        keys: signer.keys.clone(),
        token_cache_slots: TOKEN_CACHE_SLOTS_DEFAULT,
    })
}

/// The same state with the sessions of all live tokens revoked.
fn revoked(open: &Published, revocations: u64, live: u64) -> Outcome<Published> {
    let mut view = open.view.clone();
    for number in 0..live {
        let mut change = data::revocation(revocations + number)?;
        if let ChangeBody::Record(record) = &change.body {
            let target = Target::Session { issuer: ISSUER.into(), sid: live_session(number).into() };
            change.body = ChangeBody::Record(Record::new(record.id, record.kind, target, None)?);
        }
        view.apply(&change)?;
    }
    Ok(Published { view, ..open.clone() })
}
