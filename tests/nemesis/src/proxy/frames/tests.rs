use super::*;

fn all(splitter: &mut Splitter) -> Vec<Frame> {
    std::iter::from_fn(|| splitter.next_frame()).collect()
}

#[test]
fn messages_and_control_lines_come_out_whole_however_they_arrive() {
    let text =
        b"INFO {}\r\nMSG a.b 1 5\r\nh\r\nlo\r\nPING\r\nHPUB x _INBOX.1 4 6\r\nABCDEF\r\nPUB y 0\r\n\r\n";
    let whole = {
        let mut splitter = Splitter::default();
        splitter.feed(text);
        all(&mut splitter)
    };
    let kinds: Vec<bool> = whole.iter().map(|frame| matches!(frame, Frame::Message(_))).collect();
    assert_eq!(kinds, [false, true, false, true, true]);
    let together: Vec<u8> = whole.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
    assert_eq!(together, text);
    for step in 1..7 {
        let mut splitter = Splitter::default();
        let mut frames = Vec::new();
        for part in text.chunks(step) {
            splitter.feed(part);
            frames.extend(all(&mut splitter));
        }
        assert_eq!(frames, whole, "in steps of {step}");
    }
}

#[test]
fn what_is_no_protocol_passes_as_it_is() {
    let mut splitter = Splitter::default();
    splitter.feed(&vec![0xff; LINE_BYTES_MAX + 1]);
    assert_eq!(all(&mut splitter).len(), 1);
    splitter.feed(b"PUB nonsense\r\n");
    assert_eq!(all(&mut splitter), [Frame::Control(b"PUB nonsense\r\n".to_vec())]);
}
