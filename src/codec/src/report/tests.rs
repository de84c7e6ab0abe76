use rescind_core::position::Position;

use super::*;
use crate::kit::*;

#[test]
fn s7_an_agent_reports_for_itself() {
    let other = rescind_core::ids::AgentId::new("payments-2").unwrap();
    let sent = encode_report(&Report { agent: other, ..report() }, &chain(), &agent_key());
    assert_eq!(decode_report(&sent, &trust(), NOW).unwrap_err().code(), "wrong_name");
}

#[test]
fn s10_nothing_is_durable_that_was_not_applied() {
    let mut ahead = report();
    ahead.durable = ahead.applied;
    ahead.durable.grant.position = Position::new(1, 5);
    let sent = encode_report(&ahead, &chain(), &agent_key());
    assert_eq!(decode_report(&sent, &trust(), NOW), Err(CodecError::Range { field: "durable" }));
}

#[test]
fn a_long_fault_is_cut_and_hides_nothing() {
    let long = Report { fault: "ä".repeat(400).into(), version: "v".repeat(100).into(), ..report() };
    let read = decode_report(&encode_report(&long, &chain(), &agent_key()), &trust(), NOW).unwrap();
    assert_eq!(read.fault.len(), NOTE_BYTES_MAX);
    assert_eq!(read.version.len(), WORD_BYTES_MAX);
    assert_eq!(read.applied, long.applied);
}

#[test]
fn texts_over_their_limits_are_refused() {
    let sealed = encode_report(&report(), &chain(), &agent_key());
    let envelope = proto::Envelope::decode(&sealed[..]).unwrap();
    let mut wire = proto::Report::decode(&envelope.payload[..]).unwrap();
    wire.version = "v".repeat(65);
    let sent = seal(Domain::Report, &agent_key(), &wire.encode_to_vec());
    assert_eq!(decode_report(&sent, &trust(), NOW).unwrap_err().code(), "text_too_long");
    wire.version.clear();
    wire.freshness = 0;
    let sent = seal(Domain::Report, &agent_key(), &wire.encode_to_vec());
    assert_eq!(decode_report(&sent, &trust(), NOW), Err(CodecError::Missing { field: "freshness" }));
}
