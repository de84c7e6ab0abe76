use super::*;
use crate::kit::*;

fn bent(bend: impl Fn(&mut proto::Directive)) -> CodecError {
    let [_, lift, ..] = asks();
    let sealed = encode_directive(&directive(lift), &chain(), &emitter_key());
    let envelope = proto::Envelope::decode(&sealed[..]).unwrap();
    let mut wire = proto::Directive::decode(&envelope.payload[..]).unwrap();
    bend(&mut wire);
    let sent = seal(Domain::Directive, &emitter_key(), &wire.encode_to_vec());
    decode_directive(&sent, &trust(), NOW).unwrap_err()
}

#[test]
fn the_emitter_is_who_signed() {
    let [ask, ..] = asks();
    let mut claimed = directive(ask);
    claimed.origin.emitter = EmitterId::new("hr").unwrap();
    let sent = encode_directive(&claimed, &chain(), &emitter_key());
    let (read, read_rights) = decode_directive(&sent, &trust(), NOW).unwrap();
    assert_eq!((read.origin.emitter, read_rights), (emitter_id(), rights()));
    let named = bent(|wire| wire.origin.as_mut().unwrap().emitter = "hr".into());
    assert_eq!(named, CodecError::Unsupported { field: "emitter" });
}

#[test]
fn d4_a_lift_says_which_of_the_two_it_is() {
    let silent = bent(|wire| wire.ask = Some(Wire::Lift(proto::AskLift { record: 1, cutoff: None })));
    assert_eq!(silent, CodecError::Missing { field: "cutoff" });
}

#[test]
fn limits_and_kinds() {
    assert_eq!(bent(|wire| wire.reason_admin = Some("x".repeat(1025))).code(), "text_too_long");
    assert_eq!(bent(|wire| wire.ask = None), CodecError::UnknownKind { field: "ask" });
    assert_eq!(bent(|wire| wire.origin = None), CodecError::Missing { field: "origin" });
    assert_eq!(bent(|wire| wire.origin.as_mut().unwrap().idempotency_key.clear()).code(), "text");
}

fn answers() -> [DirectiveAnswer; 3] {
    [
        DirectiveAnswer::Accepted {
            id: deny(13),
            position: Position::new(2, 13),
            existing: true,
            accepted_at: NOW,
            cutoff: Some(UnixS(0)),
        },
        DirectiveAnswer::Indeterminate { id: deny(13) },
        DirectiveAnswer::Refused { code: "rights".into(), message: "ask an emitter that may".into() },
    ]
}

#[test]
fn answers_come_back_and_are_for_one_directive() {
    let key = origin("case-7").key;
    for answer in answers() {
        let sent = encode_answer(&answer, &emitter_id(), &key, &chain(), NOW, &controller_key());
        assert_eq!(decode_answer(&sent, &emitter_id(), &key, &trust()), Ok(answer));
        let other_key = origin("case-8").key;
        assert_eq!(decode_answer(&sent, &emitter_id(), &other_key, &trust()), Err(CodecError::NotTheAnswer));
        let other = EmitterId::new("hr").unwrap();
        assert_eq!(decode_answer(&sent, &other, &key, &trust()), Err(CodecError::NotTheAnswer));
    }
}

#[test]
fn a_long_refusal_is_cut() {
    let key = origin("case-7").key;
    let long = DirectiveAnswer::Refused { code: "c".repeat(99).into(), message: "ä".repeat(3000).into() };
    let sent = encode_answer(&long, &emitter_id(), &key, &chain(), NOW, &controller_key());
    match decode_answer(&sent, &emitter_id(), &key, &trust()).unwrap() {
        DirectiveAnswer::Refused { code, message } => assert_eq!((code.len(), message.len()), (64, 2048)),
        other => panic!("{other:?}"),
    }
}
