//! Letting go of large things without waiting for it.

use std::thread;

/// Drops `value` on a thread of its own. Why: freeing the rows of a million records takes seconds, and a
/// controller that stops, or whoever takes over from it, should not wait for memory that nobody needs.
pub(crate) fn drop_aside<T: Send + 'static>(value: T) {
    // Where no thread can be had the value is dropped here, with the closure.
    let spawned = thread::Builder::new().name("rescind-drop".to_owned()).spawn(move || drop(value));
    if let Err(error) = spawned {
        tracing::debug!(%error, "no thread to free memory on");
    }
}
