use super::*;

#[test]
fn requests_outside_of_their_range_are_refused_or_moved_into_it() {
    let ask = |lane: u32, entries_max| proto::RepairRequest { lane, after: 1, entries_max }.encode_to_vec();
    assert!(decode_repair(&ask(1, 1024)).is_ok());
    assert_eq!(decode_repair(&ask(16, 1)), Err(CodecError::Range { field: "lane" }));
    assert_eq!(decode_repair(&ask(300, 1)), Err(CodecError::Range { field: "lane" }));
    for entries_max in [0, 1025] {
        assert_eq!(decode_repair(&ask(0, entries_max)), Err(CodecError::Range { field: "entries_max" }));
        let moved = encode_repair(&RepairRequest { lane: Lane::Deny, after: Revision(0), entries_max });
        assert!(decode_repair(&moved).is_ok());
    }
}
