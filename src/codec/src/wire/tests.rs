use super::*;

#[test]
fn frames_take_the_shortest_length_only() {
    let read =
        |bytes: &[u8]| Frame::new("test", bytes).next().map(|(number, field)| (number, field.to_vec()));
    assert_eq!(read(&[0x0a, 2, 7, 8, 9]), Ok((1, vec![7, 8])));
    let refused: [&[u8]; 7] = [
        &[],
        &[0x0a],
        &[0x0a, 3, 7, 8],
        &[0x08, 1],
        &[0x0a, 0x82, 0x00, 7, 8],
        &[0x8a, 0x01, 1, 7],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ];
    for bytes in refused {
        assert_eq!(read(bytes), Err(CodecError::Framing { what: "test" }), "{bytes:?}");
    }
}

#[test]
fn what_is_written_is_as_long_as_announced() {
    for length in [0, 1, 127, 128, 20_000] {
        let mut out = Vec::new();
        put_field(&mut out, 2, &vec![0; length]);
        assert_eq!(out.len(), framed_len(length));
        let mut frame = Frame::new("test", &out);
        assert_eq!(frame.field(2).map(<[u8]>::len), Ok(length));
        assert_eq!(frame.end(), Ok(()));
    }
}

#[test]
fn texts_are_cut_at_characters() {
    assert_eq!(cut("häuser", 2), "h");
    assert_eq!(cut("häuser", 3), "hä");
    assert_eq!(cut("häuser", 100), "häuser");
}
