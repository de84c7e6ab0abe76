use prost::Message as _;
use rescind_schemas::v1 as proto;

use super::*;
use crate::kit::*;

#[test]
fn the_bytes_are_those_of_the_schema() {
    let sealed = seal(Domain::Report, &agent_key(), b"payload");
    let wire = proto::Envelope::decode(&sealed[..]).unwrap();
    assert_eq!(wire.payload, b"payload");
    assert_eq!(wire.key_id, agent_key().key_id().0);
    assert_eq!(wire.encode_to_vec(), sealed);
}

#[test]
fn fields_in_another_order_or_twice_are_refused() {
    let sealed = seal(Domain::Report, &agent_key(), b"payload");
    let mut frame = Frame::new("test", &sealed);
    let fields: Vec<_> = (1..=3).map(|number| (number, frame.field(number).unwrap())).collect();
    for order in [&[1, 0, 2][..], &[0, 0, 1, 2], &[0, 1], &[0, 1, 2, 2], &[2, 1, 0]] {
        let mut bytes = Vec::new();
        order.iter().for_each(|at| put_field(&mut bytes, fields[*at].0, fields[*at].1));
        let refusal = Sealed::parse(Domain::Report, &bytes).err().unwrap();
        assert_eq!(refusal, CodecError::Framing { what: "report" }, "{order:?}");
    }
    assert!(Sealed::parse(Domain::Report, &sealed).is_ok());
}

#[test]
fn only_the_root_signs_certificates() {
    let sealed = seal(Domain::Cert, &controller_key(), b"payload");
    let trust = trust();
    let opened = open(Domain::Cert, &sealed, &trust);
    assert_eq!(opened.err().map(|refusal| refusal.code()), Some("bad_signature"));
}
