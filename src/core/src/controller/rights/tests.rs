use super::*;
use crate::agent::tests::support::{ask, grant_ask, lift, user};
use crate::change::LiftCutoff;
use crate::ids::RecordId;
use crate::target::Target;

fn id() -> RecordId {
    "deny-1-1".parse().unwrap()
}

#[test]
fn nothing_is_allowed_by_default() {
    let rights = Rights::default();
    for asked in [ask(RecordKind::Revoke, user(1)), lift(id(), LiftCutoff::Resume), grant_ask(1, "read")] {
        assert!(matches!(rights.allows(&asked, None), Err(RightsError::Word { .. })));
    }
}

#[test]
fn the_rung_bounds_the_target() {
    let rights = Rights { words: WordSet::all(), rung_max: 10 };
    let service = Target::Service { name: "payments".into() };
    assert_eq!(rights.allows(&ask(RecordKind::Kill, service), None), Ok(()));
    let refused = rights.allows(&ask(RecordKind::Kill, Target::All), None);
    assert_eq!(refused, Err(RightsError::Rung { target: "all", rung: 16, rung_max: 10 }));
}

#[test]
fn d18_lifting_needs_the_right_to_make_and_the_rung() {
    let words = WordSet::new().with(Word::Lift).with(Word::Hold).with(Word::Reinstate);
    let rights = Rights { words, rung_max: 5 };
    let asked = lift(id(), LiftCutoff::Resume);
    assert_eq!(rights.allows(&asked, Some((RecordKind::Hold, TargetKind::User))), Ok(()));
    let wide = rights.allows(&asked, Some((RecordKind::Hold, TargetKind::Tenant)));
    assert!(matches!(wide, Err(RightsError::Rung { .. })));
    let others = rights.allows(&asked, Some((RecordKind::Kill, TargetKind::User)));
    assert_eq!(others, Err(RightsError::EndsOthers { word: Word::Kill }));
    let asked = Ask::Reinstate { record: id() };
    let others = rights.allows(&asked, Some((RecordKind::Disable, TargetKind::User)));
    assert_eq!(others, Err(RightsError::EndsOthers { word: Word::Disable }));
}

#[test]
fn word_sets_round_trip_and_refuse_unknown_bits() {
    for word in Word::ALL {
        let set = WordSet::new().with(word);
        assert_eq!(WordSet::from_bits(set.bits()), Some(set));
        assert_eq!(set.iter().collect::<Vec<_>>(), [word]);
        assert_eq!(Word::from_word(word.word()), Some(word));
    }
    assert_eq!(WordSet::from_bits(1 << 9), None);
}
