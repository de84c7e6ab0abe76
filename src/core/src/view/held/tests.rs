use proptest::prelude::*;

use super::*;
use crate::entitlement::{ActionPattern, Holder, ResourcePattern};
use crate::position::{Lane, Position};

fn id(revision: u64) -> RecordId {
    RecordId::new(Lane::Grant(0), Position::new(1, revision)).unwrap()
}

prop_compose! {
    fn entitlement()(
        revision in 1u64..200,
        member in any::<bool>(),
        action in "[a-z]{1,8}(:\\*)?",
        resource in prop_oneof![9 => "/[a-z]{1,8}(/\\*)?", 1 => "/[a-z]{300}"],
        tenant in prop::option::of("[a-z0-9]{1,6}"),
        from in prop::option::of(0i64..1000),
        length in prop::option::of(1i64..1000),
    ) -> Entitlement {
        let right = if member {
            Right::Member(Membership::Role(action.as_str().into()))
        } else {
            Right::Permission {
                action: ActionPattern::new(&action).unwrap(),
                resource: ResourcePattern::new(&resource).unwrap(),
            }
        };
        let until = length.map(|length| UnixS(from.unwrap_or(0) + length));
        Entitlement {
            id: id(revision),
            holder: Holder::Role("r".into()),
            right,
            tenant: tenant.as_deref().map(Box::from),
            window: Window::new(from.map(UnixS), until).unwrap(),
        }
    }
}

fn member_key(entitlement: &Entitlement) -> Option<Key> {
    matches!(entitlement.right, Right::Member(_)).then_some(Key { hi: 7, lo: 9 })
}

fn same(held: &Held<'_>, entitlement: &Entitlement) -> bool {
    let right = match (&entitlement.right, held.right) {
        (Right::Permission { action, resource }, HeldRight::Permission { action: a, resource: r }) => {
            action.as_str().as_bytes() == a && resource.as_str().as_bytes() == r
        }
        (Right::Member(_), HeldRight::Member { of }) => of == Key { hi: 7, lo: 9 },
        (_, _) => false,
    };
    right
        && held.id == entitlement.id
        && held.tenant == entitlement.tenant.as_deref().map(str::as_bytes)
        && held.window == entitlement.window
}

proptest! {
    #[test]
    fn packing_keeps_everything_in_order_of_id(all in prop::collection::vec(entitlement(), 0..20), gone in 0usize..20) {
        let (mut set, mut model) = (HeldSet::default(), std::collections::BTreeMap::new());
        for one in &all {
            match set.with(one, member_key(one)) {
                Ok(more) => { set = more; prop_assert!(model.insert(one.id, one.clone()).is_none()); }
                Err(error) => {
                    prop_assert_eq!(error, FoldError::Duplicate(one.id));
                    prop_assert!(model.contains_key(&one.id));
                }
            }
        }
        if let Some(one) = all.get(gone) {
            set = set.without(one.id).unwrap();
            model.remove(&one.id);
            prop_assert!(set.without(one.id).is_none());
        }
        prop_assert_eq!(set.len(), model.len());
        prop_assert!(set.iter().zip(model.values()).all(|(held, one)| same(&held, one)));
        prop_assert_eq!(HeldSet::from_bytes(set.bytes()), Some(set.clone()));
    }

    #[test]
    fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(set) = HeldSet::from_bytes(&bytes) {
            prop_assert_eq!(set.bytes(), &bytes[..]);
        }
    }

    #[test]
    fn truncated_bytes_are_refused(one in entitlement(), cut in 1usize..40) {
        let set = HeldSet::default().with(&one, member_key(&one)).unwrap();
        let shorter = set.bytes().len().saturating_sub(cut);
        if shorter > 0 {
            prop_assert_eq!(HeldSet::from_bytes(&set.bytes()[..shorter]), None);
        }
    }
}

#[test]
fn a_holder_has_a_limit() {
    let one = |revision| Entitlement {
        id: id(revision),
        holder: Holder::Role("r".into()),
        right: Right::Permission {
            action: ActionPattern::new("a").unwrap(),
            resource: ResourcePattern::new("b").unwrap(),
        },
        tenant: None,
        window: Window::default(),
    };
    let mut set = HeldSet::default();
    for revision in 1..=HELD_PER_HOLDER_MAX as u64 {
        set = set.with(&one(revision), None).unwrap();
    }
    let over = one(HELD_PER_HOLDER_MAX as u64 + 1);
    assert_eq!(set.with(&over, None), Err(FoldError::HolderFull(over.id)));
}
