use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn record_ids_keep_lane_and_position(lane in 0u8..=15, epoch in 0u32..65_536, revision in 1u64..1 << 44) {
        let lane = Lane::from_number(lane).unwrap();
        let position = Position::new(epoch, revision);
        let id = RecordId::new(lane, position).unwrap();
        prop_assert_eq!(id.lane(), lane);
        prop_assert_eq!(id.position(), position);
        prop_assert_eq!(RecordId::from_packed(id.packed()), Some(id));
        prop_assert_eq!(id.to_string().parse::<RecordId>().unwrap(), id);
    }

    #[test]
    fn parsing_is_total(text in ".{0,40}") {
        if let Ok(id) = text.parse::<RecordId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    assert_eq!(RecordId::new(Lane::Deny, Position::new(65_536, 1)), None);
    assert_eq!(RecordId::new(Lane::Deny, Position::new(1, 1 << 44)), None);
    assert_eq!(RecordId::new(Lane::Deny, Position::new(1, 0)), None);
    assert_eq!(RecordId::from_packed(1 << 44), None);
    for text in
        ["", "deny", "deny-1", "deny-1-0", "deny-01-2", "deny-1-2-3", "grant-1-2", "grant99-1-2", "deny-+1-2"]
    {
        assert!(text.parse::<RecordId>().is_err(), "{text}");
    }
}
