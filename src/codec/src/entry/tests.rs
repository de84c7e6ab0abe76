use prost::Message as _;

use super::*;
use crate::kit::*;
use crate::{ENTRY_CHANGES_BYTES_MAX, encoded_change_len};

fn decode(payload: &[u8], lane: Lane) -> Result<LogItem, LogError> {
    decode_log_message(
        &log_message(LOG_ENTRY, &seal(Domain::Entry, &controller_key(), payload)),
        lane,
        &trust(),
    )
}

fn bent(bend: impl Fn(&mut proto::Entry)) -> LogError {
    let mut wire = proto::Entry::decode(&encode_payload(&deny_entry())[..]).unwrap();
    bend(&mut wire);
    decode(&wire.encode_to_vec(), Lane::Deny).unwrap_err()
}

fn header(wire: &mut proto::Entry) -> &mut proto::EntryHeader {
    wire.header.as_mut().unwrap()
}

#[test]
fn the_bytes_are_those_of_the_schema() {
    let entry = deny_entry();
    let (bytes, hash) = encode_entry(&entry, &controller_key());
    let wire = proto::LogMessage::decode(&bytes[..]).unwrap();
    assert_eq!(wire.encode_to_vec(), bytes);
    let Some(proto::log_message::Message::Entry(envelope)) = wire.message else { panic!("an entry") };
    assert_eq!(entry_hash(&envelope.payload), hash);
    let payload = proto::Entry::decode(&envelope.payload[..]).unwrap();
    assert_eq!(payload.changes.len(), entry.changes.len());
    assert_eq!(payload.encode_to_vec(), envelope.payload);
}

#[test]
fn authentic_but_not_understood_is_poison_with_a_place() {
    let poison = bent(|wire| wire.changes[3].body = None);
    assert_eq!(poison.at, Some(Revision(13)));
    assert_eq!(poison.error, CodecError::UnknownKind { field: "change" });
    for bend in [
        (|wire| header(wire).change_count = 0) as fn(&mut proto::Entry),
        |wire| header(wire).change_count = 4097,
        |wire| header(wire).change_count += 1,
        |wire| header(wire).change_count -= 1,
        |wire| header(wire).epoch = 0,
        |wire| header(wire).prev_hash.push(0),
        |wire| header(wire).boot.clear(),
        |wire| header(wire).deps = Some(proto::Position { epoch: 1, revision: 1 }),
        |wire| header(wire).controller_id = "c2".into(),
    ] {
        assert_eq!(bent(bend).at, Some(Revision(13)));
    }
}

#[test]
fn a_replay_from_elsewhere_poisons_nothing() {
    let elsewhere = [
        bent(|wire| header(wire).chain_id = "other.1".into()),
        bent(|wire| header(wire).lane = 1),
        bent(|wire| header(wire).lane = 99),
        bent(|wire| wire.header = None),
        bent(|wire| header(wire).committed_at_ms = 0),
    ];
    assert!(elsewhere.iter().all(|refusal| refusal.at.is_none()), "{elsewhere:?}");
    let (bytes, _) = encode_entry(&deny_entry(), &controller_key());
    let crossed = decode_log_message(&bytes, Lane::Grant(0), &trust()).unwrap_err();
    assert_eq!((crossed.at, crossed.error.code()), (None, "wrong_lane"));
}

#[test]
fn positions_must_have_record_ids() {
    let mut wire = proto::Entry::decode(&encode_payload(&deny_entry())[..]).unwrap();
    for first in [0, u64::MAX, 1 << 44, (1 << 44) - 2] {
        header(&mut wire).first = first;
        let refusal = decode(&wire.encode_to_vec(), Lane::Deny).unwrap_err();
        assert_eq!(refusal.error, CodecError::Range { field: "first" }, "{first}");
    }
    header(&mut wire).first = 13;
    header(&mut wire).epoch = 1 << 16;
    assert_eq!(decode(&wire.encode_to_vec(), Lane::Deny).unwrap_err().error.code(), "range");
}

#[test]
fn the_header_comes_first_and_once() {
    let payload = encode_payload(&deny_entry());
    let mut frame = Frame::new("entry", &payload);
    let header = frame.field(ENTRY_HEADER).unwrap();
    let change = frame.field(ENTRY_CHANGE).unwrap();
    for fields in [&[(2, change), (1, header)][..], &[(1, header), (1, header), (2, change)], &[(3, header)]]
    {
        let mut payload = Vec::new();
        fields.iter().for_each(|(number, bytes)| put_field(&mut payload, *number, bytes));
        assert_eq!(decode(&payload, Lane::Deny).unwrap_err().error.code(), "framing");
    }
}

#[test]
fn an_entry_at_the_limits_is_read() {
    let first: Vec<_> = (1..=ENTRY_CHANGES_MAX as u64).map(revoke).collect();
    let full = entry(Lane::Deny, 1, first);
    let bytes: usize = full.changes.iter().map(encoded_change_len).sum();
    assert!(bytes <= ENTRY_CHANGES_BYTES_MAX, "{bytes}");
    let (message, _) = encode_entry(&full, &controller_key());
    assert!(decode_log_message(&message, Lane::Deny, &trust()).is_ok());
    let mut wide = revoke(1);
    wide.origin.incident = Some("x".repeat(512).into());
    let count = ENTRY_CHANGES_BYTES_MAX / encoded_change_len(&wide);
    let full = entry(Lane::Deny, 1, vec![wide; count]);
    let (message, _) = encode_entry(&full, &controller_key());
    assert!(message.len() > ENTRY_CHANGES_BYTES_MAX - 1000 && message.len() <= ENTRY_BYTES_MAX);
    assert!(decode_log_message(&message, Lane::Deny, &trust()).is_ok());
}

#[test]
fn ticks_stay_on_the_deny_lane_and_other_kinds_are_unknown() {
    let signed = crate::encode_tick(&tick([0; 32]), &controller_key());
    let refusal = decode_log_message(&signed.log_message(), Lane::Grant(0), &trust()).unwrap_err();
    assert_eq!(refusal.error.code(), "wrong_lane");
    let unknown = log_message(3, signed.envelope());
    let refusal = decode_log_message(&unknown, Lane::Deny, &trust()).unwrap_err();
    assert_eq!(refusal.error, CodecError::UnknownKind { field: "log message" });
}
