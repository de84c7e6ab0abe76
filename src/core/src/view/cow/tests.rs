use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(seed: u64) -> Key {
    // A fixed mixing, so that cases are reproducible and keys are spread as real ones are.
    let mut hi = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    hi = (hi ^ (hi >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hi = (hi ^ (hi >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Key { hi: hi ^ (hi >> 31), lo: hi.rotate_left(17) ^ seed }
}

/// All in one shard (the top bits are equal), so that neighbours and ends are met often.
fn crowded(seed: u64) -> Key {
    Key { hi: (seed % 7) << 30, lo: seed }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64, u32),
    Remove(u64),
    Remember,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..80, any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        3 => (0u64..80).prop_map(Step::Remove),
        1 => Just(Step::Remember),
    ];
    prop::collection::vec(step, 0..200)
}

fn agrees(make: fn(u64) -> Key, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut map, mut model) = (CowMap::new(), BTreeMap::new());
    let mut remembered = Vec::new();
    for step in steps {
        match *step {
            Step::Insert(k, v) => prop_assert_eq!(map.insert(make(k), v), model.insert(k, v)),
            Step::Remove(k) => prop_assert_eq!(map.remove(make(k)), model.remove(&k)),
            Step::Remember => remembered.push((map.clone(), model.clone())),
        }
        prop_assert_eq!(map.len(), model.len());
    }
    remembered.push((map, model));
    for (map, model) in &remembered {
        for k in 0..80 {
            prop_assert_eq!(map.get(make(k)), model.get(&k));
        }
        prop_assert_eq!(map.values().count(), model.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn s3_a_clone_keeps_its_prefix_while_the_map_goes_on(steps in steps()) {
        agrees(key, &steps)?;
    }

    #[test]
    fn crowded_shards_agree_with_the_model(steps in steps()) {
        agrees(crowded, &steps)?;
    }

    #[test]
    fn changed_shards_rebuild_the_map(before in prop::collection::vec(0u64..5000, 0..300), steps in steps()) {
        let mut map = CowMap::new();
        for k in before {
            map.insert(key(k), 1u32);
        }
        let older = map.clone();
        let mut stored: BTreeMap<u16, Vec<(Key, u32)>> =
            older.changed_since(&CowMap::new()).map(|(n, entries)| (n, entries.to_vec())).collect();
        for step in steps {
            match step {
                Step::Insert(k, v) => drop(map.insert(key(k), v)),
                Step::Remove(k) => drop(map.remove(key(k))),
                Step::Remember => {}
            }
        }
        for (number, entries) in map.changed_since(&older) {
            stored.insert(number, entries.to_vec());
        }
        let mut rebuilt = CowMap::new();
        for (number, entries) in stored {
            prop_assert!(rebuilt.restore_shard(number, entries));
        }
        prop_assert_eq!(rebuilt.len(), map.len());
        for k in 0..5000 {
            prop_assert_eq!(rebuilt.get(key(k)), map.get(key(k)));
        }
    }
}

#[test]
fn many_keys_are_found_and_absent_ones_are_not() {
    let mut map = CowMap::new();
    for k in 0..200_000 {
        map.insert(key(k), k);
    }
    assert!((0..200_000).all(|k| map.get(key(k)) == Some(&k)));
    assert!((200_000..400_000).all(|k| map.get(key(k)).is_none()));
}

#[test]
fn damaged_shards_are_refused_and_change_nothing() {
    let mut map: CowMap<u32> = CowMap::new();
    let number = |key: Key| u16::try_from(shard_number(key)).unwrap();
    let (a, b) = (crowded(1), crowded(2));
    assert!(!map.restore_shard(number(a), vec![(b, 1), (a, 1)]), "unsorted");
    assert!(!map.restore_shard(number(a), vec![(a, 1), (a, 1)]), "twice");
    assert!(!map.restore_shard(number(a) + 1, vec![(a, 1)]), "elsewhere");
    assert!(map.is_empty());
    assert!(map.restore_shard(number(a), vec![(a, 1)]));
    assert!(!map.restore_shard(number(a), vec![(a, 1)]), "there already");
}
