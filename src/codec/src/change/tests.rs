use rescind_core::text::TextError;

use super::*;
use crate::kit::*;

fn refused(lane: Lane, bend: impl Fn(&mut proto::Change)) -> CodecError {
    let honest = match lane {
        Lane::Deny => revoke(13),
        Lane::Grant(_) => grant_entry().changes.remove(0),
    };
    let mut wire = change_to_wire(&honest);
    bend(&mut wire);
    decode_change(&wire.encode_to_vec(), lane).unwrap_err()
}

fn record(wire: &mut proto::Change) -> &mut proto::Record {
    match wire.body.as_mut() {
        Some(Body::Record(record)) => record,
        _ => panic!("a record"),
    }
}

fn grant_of(wire: &mut proto::Change) -> &mut proto::Grant {
    match wire.body.as_mut() {
        Some(Body::Grant(grant)) => grant,
        _ => panic!("a grant"),
    }
}

#[test]
fn every_field_that_is_not_enforced_is_refused() {
    type Bend = fn(&mut proto::Record);
    let bends: [(&str, Bend); 10] = [
        ("scope", |record| record.scope = Some(proto::Scope::default())),
        ("mode", |record| record.mode = proto::RecordMode::Shadow.into()),
        ("in_flight", |record| record.in_flight = Some(proto::InFlight::default())),
        ("effective_at_ms", |record| record.effective_at_ms = Some(0)),
        ("expires_at_ms", |record| record.expires_at_ms = Some(1)),
        ("on_expiry", |record| record.on_expiry = 1),
        ("supersedes", |record| record.supersedes = deny(3).packed()),
        ("txn", |record| record.txn = "t".into()),
        ("approved_by", |record| record.approved_by = vec![proto::Approval::default()]),
        ("reason_public", |record| record.reason_public = "r".into()),
    ];
    for (field, bend) in bends {
        assert_eq!(refused(Lane::Deny, |wire| bend(record(wire))), CodecError::Unsupported { field });
    }
    let mode = refused(Lane::Deny, |wire| record(wire).mode = 77);
    assert_eq!(mode, CodecError::Unsupported { field: "mode" }, "also a mode that nobody knows");
}

#[test]
fn an_unknown_kind_stops_a_reader_unless_it_may_be_skipped() {
    let unknown_body = [0xf2, 0x01, 0x02, 0x08, 0x01];
    let mut wire = change_to_wire(&revoke(13));
    wire.body = None;
    let critical = [wire.encode_to_vec(), unknown_body.to_vec()].concat();
    assert_eq!(decode_change(&critical, Lane::Deny), Err(CodecError::UnknownKind { field: "change" }));
    wire.skippable = true;
    let skippable = [wire.encode_to_vec(), unknown_body.to_vec()].concat();
    assert_eq!(decode_change(&skippable, Lane::Deny).unwrap().body, ChangeBody::Skipped);
}

#[test]
fn a_known_kind_with_an_unknown_field_is_never_skipped() {
    let mut wire = change_to_wire(&revoke(13));
    wire.skippable = true;
    let bytes = [wire.encode_to_vec(), vec![0xe0, 0x03, 0x01]].concat();
    assert_eq!(decode_change(&bytes, Lane::Deny), Err(CodecError::UnknownField { what: "change" }));
    let lift = ChangeBody::Lift { record: deny(1), target: rescind_core::target::Target::All, cutoff: None };
    let both = [wire.encode_to_vec(), change_to_wire(&change(deny(13), lift)).encode_to_vec()].concat();
    assert_eq!(decode_change(&both, Lane::Deny), Err(CodecError::UnknownField { what: "change" }));
}

#[test]
fn kinds_and_ids_stay_on_their_lane() {
    let bytes = change_to_wire(&revoke(13)).encode_to_vec();
    assert_eq!(decode_change(&bytes, Lane::Grant(0)).unwrap_err().code(), "wrong_lane");
    let crossed = refused(Lane::Deny, |wire| wire.body = change_to_wire(&grant_entry().changes[0]).body);
    assert_eq!(crossed.code(), "wrong_lane");
    let lift = ChangeBody::Lift { record: grant(1), target: rescind_core::target::Target::All, cutoff: None };
    assert_eq!(check_change(&change(deny(13), lift)).unwrap_err().code(), "wrong_lane");
    assert_eq!(refused(Lane::Deny, |wire| wire.id = 0), CodecError::Range { field: "id" });
}

#[test]
fn d15_blank_and_wild_identifiers_are_refused() {
    let blank = TextError::Blank { what: "token id" };
    let issued = |issuer: &str, id: &str| proto::IssuedId { issuer: issuer.into(), id: id.into() };
    let token = |issuer: &'static str, id: &'static str| {
        refused(Lane::Deny, move |wire| {
            let selector = Some(proto::target::Selector::Token(issued(issuer, id)));
            record(wire).target = Some(proto::Target { selector });
        })
    };
    assert_eq!(token("https://idp.example", ""), CodecError::Text(blank));
    for (issuer, id) in [("", "j"), ("i", " "), ("i", "*"), ("i*", "j"), ("i", "j "), ("i", "a\u{7}b")] {
        assert_eq!(token(issuer, id).code(), "text", "{issuer:?} {id:?}");
    }
    let nothing = refused(Lane::Deny, |wire| record(wire).target = Some(proto::Target::default()));
    assert_eq!(nothing, CodecError::UnknownKind { field: "target" });
    assert_eq!(
        refused(Lane::Deny, |wire| record(wire).target = None),
        CodecError::Missing { field: "target" }
    );
    let emitter = refused(Lane::Deny, |wire| wire.origin.as_mut().unwrap().emitter.clear());
    assert_eq!(emitter.code(), "text");
    assert_eq!(refused(Lane::Deny, |wire| wire.origin = None), CodecError::Missing { field: "origin" });
    assert_eq!(refused(Lane::Grant(0), |wire| grant_of(wire).tenant = Some(String::new())).code(), "text");
}

#[test]
fn kind_target_cutoff_pattern_and_window_must_fit() {
    assert_eq!(refused(Lane::Deny, |wire| record(wire).kind = 0), CodecError::Missing { field: "kind" });
    assert_eq!(refused(Lane::Deny, |wire| record(wire).kind = 9), CodecError::UnknownKind { field: "kind" });
    assert_eq!(refused(Lane::Deny, |wire| record(wire).kind = 2).code(), "record");
    assert_eq!(refused(Lane::Deny, |wire| record(wire).cutoff_s = Some(1)).code(), "record");
    let window = refused(Lane::Grant(0), |wire| {
        grant_of(wire).not_before_s = Some(5);
        grant_of(wire).not_after_s = Some(5);
    });
    assert_eq!(window.code(), "entitlement");
    let wild = refused(Lane::Grant(0), |wire| {
        let permission = proto::Permission { action: "re*fund".into(), resource: "*".into() };
        grant_of(wire).right =
            Some(proto::Right { right: Some(proto::right::Right::Permission(permission)) });
    });
    assert_eq!(wild.code(), "entitlement");
    assert_eq!(
        refused(Lane::Grant(0), |wire| grant_of(wire).right = None),
        CodecError::Missing { field: "right" }
    );
}

#[test]
fn notes_are_one_line() {
    assert_eq!(check_note("requested_by", "dana? *"), Ok(()));
    for text in ["", "  ", "a\nb"] {
        assert_eq!(check_note("requested_by", text), Err(CodecError::NotALine { field: "requested_by" }));
    }
    let long = "x".repeat(NOTE_BYTES_MAX + 1);
    assert_eq!(check_note("incident", &long).unwrap_err().code(), "text_too_long");
    let mut change = revoke(13);
    change.origin.incident = Some(long.into());
    assert_eq!(check_change(&change).unwrap_err().code(), "text_too_long");
}

#[test]
fn one_change_always_fits_an_entry() {
    let id = "x".repeat(rescind_core::text::ID_BYTES_MAX);
    let note = Some(Box::from("x".repeat(NOTE_BYTES_MAX)));
    let mut widest = revoke(13);
    widest.origin = Origin {
        emitter: EmitterId::new(&id).unwrap(),
        key: IdempotencyKey::new(&id).unwrap(),
        requested_by: note.clone(),
        reason_code: note.clone(),
        incident: note,
        known_at: Some(UnixMs(-1)),
    };
    let target = rescind_core::target::Target::Token { issuer: id.as_str().into(), jti: id.as_str().into() };
    let kind = rescind_core::record::RecordKind::Revoke;
    widest.body =
        ChangeBody::Record(rescind_core::record::Record::new(deny(13), kind, target, None).unwrap());
    assert!(encoded_change_len(&widest) < crate::ENTRY_CHANGES_BYTES_MAX / 100);
    assert_eq!(check_change(&widest), Ok(()));
}

#[test]
fn a_change_that_carries_another_id_is_no_change() {
    let mut wrong = revoke(13);
    wrong.id = deny(14);
    assert_eq!(check_change(&wrong), Err(CodecError::Range { field: "id" }));
}

#[test]
fn reasons_are_hashed_in_a_domain_of_their_own() {
    let plain: [u8; 32] = Sha256::digest(b"leaver").into();
    assert_ne!(reason_sha256("leaver"), plain);
    assert_eq!(reason_sha256("leaver"), reason_sha256("leaver"));
}
