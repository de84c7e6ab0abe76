use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::position::{Lane, Position};

fn id(revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(1 + u32::try_from(revision / 300).unwrap(), revision)).unwrap()
}

proptest! {
    #[test]
    fn rows_do_what_a_sorted_map_does(steps in prop::collection::vec((1_u64..600, 0_u8..3), 0..300)) {
        let (mut rows, mut map) = (Rows::new(), BTreeMap::new());
        for (number, (revision, what)) in steps.into_iter().enumerate() {
            let id = id(revision);
            match what {
                0 => {
                    rows.insert(id, number);
                    map.insert(id, number);
                }
                1 => prop_assert_eq!(rows.remove(id), map.remove(&id)),
                _ => {
                    let above = map.range((core::ops::Bound::Excluded(id), core::ops::Bound::Unbounded));
                    prop_assert!(rows.above(Some(id)).eq(above.map(|(_, row)| row)));
                }
            }
            prop_assert_eq!(rows.get(id), map.get(&id));
            prop_assert_eq!(rows.get_mut(id), map.get_mut(&id));
        }
        prop_assert!(rows.values().eq(map.values()));
        prop_assert!(rows.above(None).eq(map.values()));
    }
}
