//! The one task that owns the state machine: feeds it what arrives, performs what it asks for.
//!
//! Everything that takes time runs beside it (requests, decoding of ranges, building of snapshots, the store) and
//! comes back as a value; the machine itself never waits. Every call into it is guarded: a panic while a change is
//! applied closes the view at once and the machine starts over from the last good state, ever more slowly if that
//! repeats, so a bug denies and never loops.

mod fetch;
mod perform;
mod reports;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{Bus, LinkState, LiveEvent, LiveFeed};
use rescind_codec::{LogError, LogItem, SecretKey, TrustBundle, decode_grant, decode_log_message};
use rescind_core::agent::{AgentConfig, AgentMachine, ClockFault, Link, Restored, Unreadable};
use rescind_core::ids::{ChainId, InstanceId};
use rescind_core::lease::{Behind, LeaseRequest};
use rescind_core::position::Lane;
use rescind_core::report::Report;
use rescind_core::time::BootNs;
use rescind_token::KeySet;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub(crate) use self::fetch::LeaseAnswer;
use self::fetch::{Done, Way};
use crate::clock::{BootClock, ClockWatch, Place, Readings, controller_is_ahead};
use crate::direct::Direct;
use crate::metrics::bump;
use crate::shared::Shared;
use crate::store::{Floor, Store, StoreState};

/// How often the driver looks at what has no signal of its own: issuers' keys, the first deny.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Limit: reports that wait to be sent; the next one carries the newer state anyway.
const REPORTS_MAX: usize = 16;
/// First pause after a panic; doubles with every further one.
const PANIC_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause after a panic.
const PANIC_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Panics that are this far apart have nothing to do with each other.
const PANIC_MEMORY: Duration = Duration::from_secs(300);
/// A token from the future costs a lease once in this time; after that it is the issuer's clock that is wrong.
const TOKEN_BLAME_PAUSE: Duration = Duration::from_secs(60);
/// Limit: a stop does not wait longer for what runs beside the driver.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// What every request needs.
pub(crate) struct Wire {
    pub(crate) bus: Bus,
    pub(crate) direct: Option<Direct>,
    pub(crate) trust: TrustBundle,
    pub(crate) key: SecretKey,
    pub(crate) chain: ChainId,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) settings: AgentConfig,
    pub(crate) machine: AgentMachine,
    pub(crate) shared: Arc<Shared>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) store: Store,
    pub(crate) floor: Floor,
    pub(crate) deny: LiveFeed,
    pub(crate) grant: LiveFeed,
}

/// See the module's text.
pub(crate) struct Driver {
    settings: AgentConfig,
    machine: AgentMachine,
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    store: Store,
    /// What runs before this one acknowledged as durable.
    floor: Floor,
    store_state: watch::Receiver<StoreState>,
    link: watch::Receiver<LinkState>,
    deny: Option<LiveFeed>,
    grant: Option<LiveFeed>,
    running: JoinSet<Done>,
    reports: mpsc::Sender<Report>,
    reporter: JoinHandle<()>,
    clocks: ClockWatch,
    /// No token from the future accuses the clock before this.
    blames_tokens_from: BootNs,
    keys: Vec<Option<Arc<KeySet>>>,
    looked_at: BootNs,
    panics: Panics,
}

/// Panics of the machine that belong together.
#[derive(Debug, Default)]
struct Panics {
    count: u32,
    last: BootNs,
    /// Nothing is handed to the machine before this.
    hold_until: Option<BootNs>,
}

impl Driver {
    /// A driver that has not begun. Must be called inside a runtime.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { settings, machine, shared, wire, store, floor, deny, grant } = parts;
        let (reports, receiver) = mpsc::channel(REPORTS_MAX);
        let reporter = tokio::spawn(reports::run(Arc::clone(&wire), Arc::clone(&shared), receiver));
        Self {
            settings,
            machine,
            store_state: store.state(),
            link: wire.bus.link(),
            deny: Some(deny),
            grant: Some(grant),
            running: JoinSet::new(),
            reports,
            reporter,
            clocks: ClockWatch::default(),
            blames_tokens_from: BootNs(0),
            keys: Vec::new(),
            looked_at: BootNs(0),
            panics: Panics::default(),
            shared,
            wire,
            store,
            floor,
        }
    }

    /// Runs until cancelled, then writes what waits and joins everything.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        self.feed(AgentMachine::handle_timeout);
        loop {
            self.look();
            self.perform();
            let pause = self.pause();
            tokio::select! {
                () = cancel.cancelled() => break,
                event = next(&mut self.deny) => self.on_live(Lane::Deny, event),
                event = next(&mut self.grant) => self.on_live(Lane::Grant(0), event),
                Some(done) = self.running.join_next() => self.on_done(done),
                Ok(()) = self.store_state.changed() => self.on_store(),
                Ok(()) = self.link.changed() => self.on_link(),
                () = sleep(pause) => self.feed(AgentMachine::handle_timeout),
            }
        }
        self.end().await;
    }

    async fn end(mut self) {
        self.shared.close();
        self.running.abort_all();
        let drain = async {
            while self.running.join_next().await.is_some() {}
            for feed in [self.deny, self.grant].into_iter().flatten() {
                feed.close().await;
            }
            drop(self.reports);
            if self.reporter.await.is_err() {
                tracing::error!("the reporter ended by a panic");
            }
        };
        if tokio::time::timeout(DRAIN_WAIT, drain).await.is_err() {
            tracing::debug!("what ran beside the driver did not end in time");
        }
        self.store.stop().await;
    }

    /// Time until the machine wants to be called, at most [`LOOK_EVERY`].
    fn pause(&self) -> Duration {
        let now = BootClock.now();
        if let Some(until) = self.panics.hold_until {
            return until.since(now).min(LOOK_EVERY);
        }
        self.machine.poll_timeout().map_or(LOOK_EVERY, |at| at.since(now).min(LOOK_EVERY))
    }

    /// Hands something to the machine, guarded.
    fn feed(&mut self, input: impl FnOnce(&mut AgentMachine, BootNs)) {
        let now = BootClock.now();
        match self.panics.hold_until {
            // What is lost here shows as a gap later.
            Some(until) if now < until => return,
            Some(_) => self.panics.hold_until = None,
            None => {}
        }
        // Why unwind safe: after a panic the machine is thrown away.
        let machine = &mut self.machine;
        if catch_unwind(AssertUnwindSafe(|| input(machine, now))).is_err() {
            self.start_over(now);
        }
    }

    /// INVARIANT (S12): a panic while applying leaves nothing fresh. The next machine starts from what was last
    /// published, which is a whole prefix; if that panics again, from nothing.
    fn start_over(&mut self, now: BootNs) {
        self.shared.close();
        bump(&self.shared.counters.panics);
        if now.since(self.panics.last) > PANIC_MEMORY {
            self.panics.count = 0;
        }
        self.panics.count = self.panics.count.saturating_add(1);
        self.panics.last = now;
        let doublings = self.panics.count.saturating_sub(1).min(16);
        let hold = (PANIC_PAUSE * 2_u32.pow(doublings)).min(PANIC_PAUSE_MAX);
        self.panics.hold_until = Some(now.plus(hold));
        tracing::error!(
            panics = self.panics.count,
            "panic while applying; the view is closed and built again"
        );
        let published = self.shared.published();
        let restored = (self.panics.count == 1)
            .then(|| Restored { view: published.view.clone(), heads: published.heads });
        // Why another instance: this machine's reports begin at one again.
        if let Ok(instance) = random::<16>() {
            self.settings.instance = InstanceId(instance);
        }
        let seed = u64::from_le_bytes(random::<8>().unwrap_or_default());
        let hasher = published.view.hasher().clone();
        self.machine = AgentMachine::new(self.settings.clone(), seed, hasher, restored, now);
        self.running.abort_all();
    }

    fn on_live(&mut self, lane: Lane, event: Option<LiveEvent>) {
        match event {
            Some(LiveEvent::Message { lane: name, bytes }) => {
                if let Some(lane) = Lane::from_name(&name) {
                    self.on_message(lane, &bytes);
                }
            }
            Some(LiveEvent::Overflow) => self.feed(AgentMachine::handle_overflow),
            Some(LiveEvent::Reconnected) => self.feed(|machine, now| machine.handle_link(now, Link::Up)),
            Some(LiveEvent::Refused { reason }) => {
                tracing::error!(%lane, reason, "the bus does not let this agent listen; correct its permissions");
                self.shared.set_fault(Some(format!("not allowed to listen to {lane}")));
            }
            None => self.subscribe_again(lane),
        }
    }

    fn on_message(&mut self, lane: Lane, bytes: &[u8]) {
        match decode_log_message(bytes, lane, &self.wire.trust) {
            Ok(LogItem::Entry(entry)) => {
                bump(&self.shared.counters.entries);
                self.feed(|machine, now| machine.handle_entry(now, entry));
            }
            Ok(LogItem::Tick(tick, _)) => {
                bump(&self.shared.counters.ticks);
                self.feed(|machine, now| machine.handle_tick(now, &tick));
            }
            Err(LogError { at, error }) => {
                bump(&self.shared.counters.unreadable);
                let reason = error.to_string().into();
                self.feed(|machine, now| machine.handle_unreadable(now, Unreadable { lane, at, reason }));
            }
        }
    }

    fn on_done(&mut self, done: Result<Done, JoinError>) {
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                // The machine gives up waiting by itself.
                if error.is_panic() {
                    tracing::error!("a request of the agent ended by a panic");
                }
                return;
            }
        };
        match done {
            Done::Lease { request, answer, way } => {
                let is_grant = matches!(answer, LeaseAnswer::Grant(_));
                if is_grant && way == Way::Direct {
                    bump(&self.shared.counters.direct_leases);
                }
                self.on_lease(&request, answer);
            }
            Done::Range(range) => self.on_range(range),
            Done::Snapshot(Some(snapshot)) => {
                let (manifest, view) = *snapshot;
                bump(&self.shared.counters.snapshots);
                self.feed(|machine, now| machine.handle_snapshot(now, &manifest, view));
            }
            Done::Snapshot(None) => {
                bump(&self.shared.counters.snapshot_failures);
                self.feed(AgentMachine::handle_snapshot_failed);
            }
            Done::HandedBack => {}
            Done::Subscribed { lane, feed } => {
                match lane {
                    Lane::Deny => self.deny = Some(feed),
                    Lane::Grant(_) => self.grant = Some(feed),
                }
                self.feed(AgentMachine::handle_overflow);
            }
        }
    }

    fn on_lease(&mut self, request: &LeaseRequest, answer: LeaseAnswer) {
        let answer = match answer {
            LeaseAnswer::Grant(answer) => answer,
            LeaseAnswer::Behind(Behind { lane, at }) => {
                bump(&self.shared.counters.lease_failures);
                return self.feed(|machine, now| machine.handle_behind(now, lane, at));
            }
            LeaseAnswer::Nothing => return bump(&self.shared.counters.lease_failures),
        };
        let grant = match decode_grant(&answer, request, &self.wire.trust) {
            Ok(grant) => grant,
            Err(error) => {
                bump(&self.shared.counters.lease_failures);
                return tracing::warn!(%error, "a lease grant did not verify");
            }
        };
        // INVARIANT (S5): this run may have lost its store, and the controller its log; what an earlier run called
        // durable is not given up by a lease.
        if !self.floor.is_reached(&grant.tick.heads) {
            bump(&self.shared.counters.lease_failures);
            self.shared.set_fault(Some("the controller is behind what this agent acknowledged".to_owned()));
            return tracing::error!(
                deny = %grant.tick.heads.deny.position,
                grant = %grant.tick.heads.grant.position,
                "the controller went back behind what this agent acknowledged as durable; restore its newest log"
            );
        }
        bump(&self.shared.counters.lease_grants);
        let fault = self.clock_fault(Readings::take(), Place::take());
        let ahead =
            self.machine.published().lease.is_some_and(|lease| {
                controller_is_ahead(&lease, grant.tick.controller_time, BootClock.now())
            });
        match fault.or(ahead.then_some(ClockFault::ControllerAhead)) {
            Some(fault) => self.feed(|machine, now| machine.handle_clock_fault(now, fault)),
            None => self.feed(|machine, now| machine.handle_grant(now, grant)),
        }
    }

    fn on_range(&mut self, range: fetch::Range) {
        let fetch::Range { lane, entries, closed, way } = range;
        if entries.is_ok() && way == Way::Direct {
            bump(&self.shared.counters.direct_ranges);
        }
        match entries {
            Ok((entries, rest)) => {
                bump(&self.shared.counters.ranges);
                let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
                self.shared.counters.entries.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
                self.feed(|machine, now| machine.handle_range(now, lane, entries, rest));
            }
            Err(failure) => {
                bump(&self.shared.counters.range_failures);
                self.feed(|machine, now| machine.handle_range_failed(now, lane, failure));
            }
        }
        if let Some(closed) = closed {
            self.feed(|machine, now| machine.handle_unreadable(now, closed));
        }
    }

    fn on_store(&mut self) {
        let state = self.store_state.borrow_and_update().clone();
        if state.on_disk {
            self.feed(|machine, now| machine.handle_persisted(now, state.durable));
        }
    }

    fn on_link(&mut self) {
        let link = match *self.link.borrow_and_update() {
            LinkState::Up => Link::Up,
            LinkState::Down => Link::Down,
        };
        tracing::info!(?link, "bus connection");
        self.feed(|machine, now| machine.handle_link(now, link));
    }

    fn clock_fault(&mut self, readings: Option<Readings>, place: Place) -> Option<ClockFault> {
        let moved = readings.and_then(|readings| self.clocks.look(readings));
        self.clocks.look_at(place).or(moved)
    }

    /// INVARIANT (S15): a contradiction between clocks ends the lease that was measured on one of them, also
    /// while no grant comes that would show it.
    fn check_clocks(&mut self, now: BootNs, readings: Option<Readings>, place: Place) {
        let mut fault = self.clock_fault(readings, place);
        if self.shared.take_future_token() && now >= self.blames_tokens_from {
            // Why not each time: an issuer whose own clock is ahead must not take every lease away.
            self.blames_tokens_from = now.plus(TOKEN_BLAME_PAUSE);
            fault = fault.or(Some(ClockFault::TokenFromFuture));
        }
        if let Some(fault) = fault {
            self.feed(|machine, now| machine.handle_clock_fault(now, fault));
        }
    }

    /// Looks at what has no signal of its own.
    fn look(&mut self) {
        if let Some(at) = self.shared.take_first_deny() {
            self.feed(|machine, now| machine.handle_first_deny(now, at));
        }
        let now = BootClock.now();
        if now.since(self.looked_at) < LOOK_EVERY / 2 && self.looked_at != BootNs(0) {
            return;
        }
        self.looked_at = now;
        self.check_clocks(now, Readings::take(), Place::take());
        let directory = self.shared.keys();
        let issuers = directory.health().into_iter().map(|source| directory.keys(&source.issuer));
        let keys: Vec<_> = issuers.collect();
        let same = |a: &Option<Arc<KeySet>>, b: &Option<Arc<KeySet>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let unchanged = keys.len() == self.keys.len() && keys.iter().zip(&self.keys).all(|(a, b)| same(a, b));
        if !unchanged {
            self.keys = keys;
            self.shared.forget_tokens();
        }
    }
}

/// The next event of a feed; never, while there is none.
async fn next(feed: &mut Option<LiveFeed>) -> Option<LiveEvent> {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
