use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rescind_core::decide::{Bearer, TokenFacts};
use rescind_core::key::KeyHasher;
use rescind_core::time::UnixS;

use super::{CACHED_TOKEN_BYTES_MAX, TokenCache, Verified, WAYS};

const SECRET: [u64; 5] = [11, 22, 33, 44, 55];
const NOW: UnixS = UnixS(1_000);

fn bearer(subject: &str, expires_at: i64) -> Bearer {
    let facts = TokenFacts {
        issuer: "https://idp.example",
        subject: Some(subject),
        jti: None,
        session: None,
        client: None,
        key_id: None,
        tenant: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixS(expires_at),
        leeway: Duration::ZERO,
        fingerprint: [7; 32],
        twin_fingerprint: None,
        roles: &[],
        groups: &[],
        permissions: &[],
    };
    Bearer::new(&KeyHasher::new([1; 16]), &facts)
}

fn token(number: usize) -> String {
    // Distinct signatures of 86 characters, spread as real ones are.
    let spread = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("header.payload-{number}.{spread:0>43x}{:0>43x}", spread.rotate_left(61))
}

fn verified(token: &str, expires_at: i64, generation: u64) -> Verified {
    Verified::new(token, bearer("u", expires_at), generation)
}

fn one_set() -> TokenCache {
    TokenCache::new(WAYS, SECRET)
}

#[test]
fn what_was_kept_is_found() {
    let cache = TokenCache::new(1024, SECRET);
    cache.insert(&verified(&token(1), 2_000, 1), NOW);
    let hit = cache.get(&token(1), 1).unwrap();
    assert_eq!(hit.bearer().unwrap().expires_at(), UnixS(2_000));
    assert_eq!(hit.verified().unwrap().expires_at(), UnixS(2_000));
    assert!(cache.get(&token(2), 1).is_none());
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_token_with_the_same_tail_and_length_is_another_token() {
    let cache = one_set();
    let genuine = token(1);
    let forged = genuine.replacen("header", "hEader", 1);
    assert_eq!(cache.place(genuine.as_bytes()), cache.place(forged.as_bytes()));
    cache.insert(&verified(&genuine, 2_000, 1), NOW);
    assert!(cache.get(&forged, 1).is_none());
    assert!(cache.get(&genuine, 1).is_some());
    cache.insert(&verified(&forged, 3_000, 1), NOW);
    assert_eq!(cache.get(&genuine, 1).unwrap().verified().unwrap().expires_at(), UnixS(2_000));
    assert_eq!(cache.get(&forged, 1).unwrap().verified().unwrap().expires_at(), UnixS(3_000));
}

#[test]
fn other_keys_make_it_a_miss() {
    let cache = one_set();
    cache.insert(&verified(&token(1), 2_000, 1), NOW);
    assert!(cache.get(&token(1), 2).is_none());
    cache.insert(&verified(&token(1), 2_000, 2), NOW);
    assert!(cache.get(&token(1), 2).is_some());
    assert_eq!(cache.len(), 1, "the same token replaces itself");
}

#[test]
fn a_full_set_replaces_other_keys_then_the_expired_then_the_unused() {
    let cache = one_set();
    cache.insert(&verified(&token(1), 9_000, 1), NOW);
    cache.insert(&verified(&token(2), 500, 2), NOW);
    let others: Vec<usize> = (3..=WAYS).collect();
    for number in &others {
        cache.insert(&verified(&token(*number), 9_000, 2), NOW);
    }
    assert_eq!(cache.len(), WAYS);
    assert!(cache.get(&token(2), 2).is_some());
    cache.insert(&verified(&token(101), 9_000, 2), NOW);
    assert!(cache.get(&token(1), 1).is_none(), "of older keys");
    assert!(cache.get(&token(2), 2).is_some());
    cache.insert(&verified(&token(102), 9_000, 2), NOW);
    assert!(cache.get(&token(2), 2).is_none(), "expired");
    for number in others.iter().chain(&[101]) {
        assert!(cache.get(&token(*number), 2).is_some());
    }
    cache.insert(&verified(&token(103), 9_000, 2), NOW);
    assert!(cache.get(&token(102), 2).is_none(), "the only one that nobody used");
    assert!(cache.get(&token(103), 2).is_some());
}

#[test]
fn a_removed_token_is_gone_and_its_neighbours_stay() {
    let cache = one_set();
    for number in 1..=3 {
        cache.insert(&verified(&token(number), 9_000, 1), NOW);
    }
    cache.remove(&token(2));
    cache.remove(&token(9));
    assert!(cache.get(&token(2), 1).is_none());
    assert!(cache.get(&token(1), 1).is_some() && cache.get(&token(3), 1).is_some());
    assert_eq!(cache.len(), 2);
}

#[test]
fn short_and_huge_tokens_are_not_kept() {
    let cache = one_set();
    cache.insert(&verified("a.b.c", 9_000, 1), NOW);
    assert!(cache.get("a.b.c", 1).is_none());
    assert!(cache.get("", 1).is_none());
    let huge = "x".repeat(CACHED_TOKEN_BYTES_MAX + 1);
    cache.insert(&verified(&huge, 9_000, 1), NOW);
    assert!(cache.get(&huge, 1).is_none());
    assert_eq!(cache.len(), 0);
}

#[test]
fn most_live_tokens_fit_where_there_is_room_for_three_times_as_many() {
    let cache = TokenCache::new(65_536, SECRET);
    for number in 0..20_000 {
        cache.insert(&verified(&token(number), 9_000, 1), NOW);
    }
    let found = (0..20_000).filter(|number| cache.get(&token(*number), 1).is_some()).count();
    assert!(found > 19_950, "{found}");
}

#[test]
fn debug_shows_no_token() {
    let token = token(1);
    let shown = format!("{:?} {:?}", verified(&token, 1, 1), TokenCache::new(4, SECRET));
    assert!(!shown.contains("payload") && !shown.contains("idp.example"), "{shown}");
}

#[test]
fn readers_and_writers_at_once_never_see_another_identity() {
    let cache = Arc::new(TokenCache::new(8, SECRET));
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let cache = Arc::clone(&cache);
            scope.spawn(move || {
                for round in 0..5_000_usize {
                    let number = (round * 7 + thread) % 32;
                    let expires = i64::try_from(number).unwrap() + 5_000;
                    match cache.get(&token(number), 1) {
                        Some(hit) => assert_eq!(hit.verified().unwrap().expires_at(), UnixS(expires)),
                        None => cache.insert(&verified(&token(number), expires, 1), NOW),
                    }
                    if round % 97 == 0 {
                        cache.remove(&token(number));
                    }
                }
            });
        }
    });
}

proptest! {
    #[test]
    fn only_equal_bytes_are_ever_a_hit(
        kept in proptest::collection::vec("[a-c]{0,3}\\.[ab]{30,34}", 0..12),
        asked in "[a-c]{0,3}\\.[ab]{30,34}",
    ) {
        let cache = one_set();
        for token in &kept {
            cache.insert(&verified(token, 9_000, 1), NOW);
        }
        if let Some(hit) = cache.get(&asked, 1) {
            let verified = hit.verified().unwrap();
            prop_assert_eq!(verified.token(), asked.as_bytes());
        }
    }
}
