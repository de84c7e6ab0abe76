//! Level-triggered, bounded waits: a condition is looked at until it holds, never an edge that can be missed.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::error::{KitError, KitResult};

#[cfg(test)]
mod tests;

/// Longest wait for anything that must happen soon on a loaded machine. Bounds of the protocol (a lease, a
/// second after a heal) are stated by the tests themselves.
pub const SOON: Duration = Duration::from_secs(20);

/// Pause between two looks at a condition. Why: short against every bound that tests judge.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Pause between two questions to a process. Why longer: each costs the one that is watched.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// Waits until `look` gives a value and returns it with the time that it took.
///
/// # Errors
/// Names `what` when `limit` is over.
pub async fn until_some<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> KitResult<(T, Duration)> {
    let start = Instant::now();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let elapsed = start.elapsed();
        if let Some(value) = look() {
            return Ok((value, elapsed));
        }
        if elapsed > limit {
            return Err(KitError::new(format!("waited {limit:?} in vain until {what}")));
        }
    }
}

/// Waits until `condition` holds and returns the time that it took.
///
/// # Errors
/// Names `what` when `limit` is over.
pub async fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> KitResult<Duration> {
    until_some(what, limit, || condition().then_some(())).await.map(|((), took)| took)
}

/// As [`until_some`], for a look that has to ask somebody.
///
/// # Errors
/// Names `what` when `limit` is over; an error of a look ends the wait.
pub async fn until_answer<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> KitResult<T>
where
    F: Future<Output = KitResult<Option<T>>>,
{
    let start = Instant::now();
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(value) = look().await? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            return Err(KitError::new(format!("waited {limit:?} in vain until {what}")));
        }
    }
}

/// Looks at `condition` all the time for `span`: it must hold at every look.
///
/// # Errors
/// Names `what` and when it broke.
pub async fn always(what: &str, span: Duration, mut condition: impl FnMut() -> bool) -> KitResult {
    let start = Instant::now();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while start.elapsed() < span {
        ticks.tick().await;
        if !condition() {
            return Err(KitError::new(format!("{what}: broken after {:?} of {span:?}", start.elapsed())));
        }
    }
    Ok(())
}

/// Waits for a future, [`SOON`] at most.
///
/// # Errors
/// Names `what` when the time is over.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> KitResult<T> {
    timeout(SOON, future).await.map_err(|_| KitError::new(format!("waited {SOON:?} in vain for {what}")))
}
