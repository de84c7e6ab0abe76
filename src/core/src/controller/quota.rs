//! How much one emitter may ask for: a token bucket for everything, and a small one for what must not wait.
//!
//! Kills, holds, disables and lifts within [`URGENT`] are ordered before everything else that waits on the deny
//! lane and are not charged to the ordinary budget: an emitter, or another one, that revokes a million tokens
//! does not hold up a kill, and neither does a budget that these have used up.

use core::time::Duration;
use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::change::Directive;
use crate::ids::EmitterId;
use crate::time::BootNs;

/// What may jump the queue, per emitter: what people do by hand in an incident. More of it waits like the rest.
pub const URGENT: Budget = Budget { per_minute: 120, burst: 60 };

/// A number of directives in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In the long run; at least 1.
    pub per_minute: u32,
    /// At once, after a pause; at least 1.
    pub burst: u32,
}

impl Budget {
    /// Time that one directive costs.
    fn cost(self) -> Duration {
        Duration::from_secs(60) / self.per_minute.max(1)
    }
}

/// Goes before the rest, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Urgent,
    Ordinary,
}

/// A token bucket, kept as the time at which it will be full again.
#[derive(Debug)]
struct Bucket {
    budget: Budget,
    full_at: BootNs,
}

impl Bucket {
    const fn new(budget: Budget) -> Self {
        Self { budget, full_at: BootNs(0) }
    }

    /// Takes one token, or says after which time there will be one.
    fn take(&mut self, now: BootNs) -> Result<(), Duration> {
        let cost = self.budget.cost();
        let full_at = self.full_at.max(now).plus(cost);
        let latest = now.plus(cost.saturating_mul(self.budget.burst.max(1)));
        if full_at > latest {
            return Err(full_at.since(latest));
        }
        self.full_at = full_at;
        Ok(())
    }
}

/// The buckets of all emitters. An emitter without a budget is not limited.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    ordinary: BTreeMap<EmitterId, Bucket>,
    /// Only emitters that authenticated come here, so their certificates and tokens bound it.
    urgent: BTreeMap<EmitterId, Bucket>,
}

impl Quotas {
    pub(super) fn set(&mut self, budgets: impl IntoIterator<Item = (EmitterId, Budget)>) {
        self.ordinary = budgets.into_iter().map(|(emitter, budget)| (emitter, Bucket::new(budget))).collect();
    }

    /// Charges one directive that would have an effect of its own.
    pub(super) fn charge(&mut self, now: BootNs, directive: &Directive) -> Result<Class, Refusal> {
        let emitter = &directive.origin.emitter;
        if directive.ask.is_urgent() {
            let bucket = match self.urgent.get_mut(emitter) {
                Some(bucket) => bucket,
                None => self.urgent.entry(emitter.clone()).or_insert_with(|| Bucket::new(URGENT)),
            };
            if bucket.take(now).is_ok() {
                return Ok(Class::Urgent);
            }
        }
        let Some(bucket) = self.ordinary.get_mut(emitter) else { return Ok(Class::Ordinary) };
        let per_minute = bucket.budget.per_minute;
        bucket.take(now).map(|()| Class::Ordinary).map_err(|wait| {
            let retry_after_s = u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
            Refusal::Quota { per_minute, retry_after_s }
        })
    }
}

#[cfg(test)]
mod tests;
