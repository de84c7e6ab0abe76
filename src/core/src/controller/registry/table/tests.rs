use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key::KeyHasher;

proptest! {
    #[test]
    fn a_key_table_does_what_a_map_does(steps in prop::collection::vec((0_u8..40, any::<bool>()), 0..200)) {
        let hasher = KeyHasher::new([1; 16]);
        let (mut table, mut map) = (KeyTable::new(), BTreeMap::new());
        for (number, (name, inserts)) in steps.into_iter().enumerate() {
            let key = hasher.client(&name.to_string());
            if inserts {
                prop_assert_eq!(table.insert(key, number), map.insert(key, number));
            } else {
                prop_assert_eq!(table.remove(key), map.remove(&key));
            }
            table.update(key, |value| *value += 1);
            *map.entry(key).or_default() += 1;
            prop_assert_eq!(table.get(key), map.get(&key));
        }
        prop_assert_eq!(table.parts.iter().map(HashMap::len).sum::<usize>(), map.len());
    }
}
