//! Issuers' keys and the cache of verified tokens: after a change of keys, a token that was verified with the keys
//! before is verified again.

use loom::sync::Arc;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::cell::assert_loom_finds;

struct Shared {
    /// Which keys a verification uses.
    keys: AtomicU64,
    generation: AtomicU64,
    /// The one cached token: with which keys it was verified, and the generation that it was put in under.
    cached: Mutex<Option<(u64, u64)>>,
}

/// One request of the token while the keys change. The agent reads the generation first.
fn change_keys(generation_first: bool) {
    let shared =
        Arc::new(Shared { keys: AtomicU64::new(1), generation: AtomicU64::new(1), cached: Mutex::new(None) });
    let request = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (keys, generation) = if generation_first {
                let generation = shared.generation.load(Ordering::Acquire);
                (shared.keys.load(Ordering::Acquire), generation)
            } else {
                let keys = shared.keys.load(Ordering::Acquire);
                (keys, shared.generation.load(Ordering::Acquire))
            };
            *shared.cached.lock().unwrap() = Some((keys, generation));
        })
    };
    shared.keys.store(2, Ordering::Release);
    shared.generation.fetch_add(1, Ordering::AcqRel);
    request.join().unwrap();
    let generation = shared.generation.load(Ordering::Acquire);
    if let Some((keys, put_in_under)) = *shared.cached.lock().unwrap() {
        let found = put_in_under == generation;
        assert!(!found || keys == 2, "a token that was verified with old keys is found under the new ones");
    }
}

#[test]
fn a_token_of_old_keys_is_not_found_after_they_change() {
    loom::model(|| change_keys(true));
}

#[test]
fn loom_finds_the_generation_read_after_the_keys() {
    assert_loom_finds("the generation is read after the keys", || change_keys(false));
}
