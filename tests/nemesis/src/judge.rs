//! The same trace for the common checker, which knows the whole history: every allow is compared with what exactly
//! its positions say (S3, S4, S6, S8), and with the bound (S1).
//!
//! A change counts as in the chain from when its directive was sent: whether an agent may already hold it then is
//! not known, and doubts count for the system. Its place decides, not the time.

use std::time::Duration;

use rescind_checker::{Answer, Checker, Decision, Event, Request, Run, Settings, Store, Subject};
use rescind_core::position::Heads;

use crate::{
    bound::Bound,
    evidence::{Allow, Change, Seen, Violation},
    people::names_of,
};

/// What this trace cannot tell is judged elsewhere (L5 by the last look at the boards).
const NOT_HERE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A number for a target or a right.
#[must_use]
pub fn number(text: &str) -> Subject {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Subject(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// What the common checker finds; `issuer` names the people's issuer.
#[must_use]
pub fn judge(seen: &Seen, bound: Bound, issuer: &str) -> Vec<Violation> {
    let delta = bound.staleness.saturating_sub(bound.lease + bound.lease * 5 / 1000);
    let settings = Settings { lease: bound.lease, delta, enforced_slack: NOT_HERE, ..Settings::default() };
    let mut checker = Checker::new("nemesis", settings);
    let mut events = events(seen, issuer);
    events.sort_by_key(Event::at);
    for event in &events {
        checker.observe(event);
    }
    let found = checker.violations().iter();
    found
        .map(|one| Violation { guarantee: one.guarantee.id(), at_ns: one.at, text: one.text.clone() })
        .collect()
}

fn events(seen: &Seen, issuer: &str) -> Vec<Event> {
    let agents = seen.freshness.keys().map(|agent| Event::Started {
        at: 0,
        run: run(*agent),
        strict: true,
        store: Store::Doubtful,
        heads: Heads::default(),
    });
    let changes =
        seen.changes.iter().enumerate().flat_map(|(ticket, change)| of_change(ticket as u64, change));
    let allows = seen.allows.iter().flat_map(|(question, allows)| {
        let request = request(question, issuer);
        allows.iter().map(move |allow| decision(allow, request.clone()))
    });
    agents.chain(changes).chain(allows).collect()
}

fn run(agent: usize) -> Run {
    Run { agent: u32::try_from(agent).unwrap_or(u32::MAX), run: 0 }
}

fn of_change(ticket: u64, change: &Change) -> [Event; 3] {
    let Change { id, effect, sent_ns, accepted_ns } = *change;
    let answer = Answer::Accepted { id, effect };
    [
        Event::Asked { at: sent_ns, ticket, key: ticket, deadline: u64::MAX },
        Event::Ordered { at: sent_ns, id, key: ticket, effect },
        Event::Answered { at: accepted_ns, ticket, answer },
    ]
}

fn request(question: &str, issuer: &str) -> Request {
    let names = names_of(question, issuer);
    Request {
        subjects: vec![number(&names.user), number(&names.session), number(&names.client)],
        right: Some(number(&names.resource).0),
        ..Request::default()
    }
}

fn decision(allow: &Allow, request: Request) -> Event {
    Event::Decided(Box::new(Decision {
        run: run(allow.agent),
        began: allow.from_ns,
        read: allow.from_ns,
        request,
        allow: true,
        deny: allow.deny,
        grant: allow.grant,
        record: None,
    }))
}
