use super::*;
use crate::kit::{NOW, agent_key, asks, chain, controller_key, emitter_key, rights, trust};

#[test]
fn a_forward_names_emitter_and_rights_and_only_controllers_may_send_one() {
    let asks = asks();
    let mut sent: Vec<Directive> = asks.into_iter().map(crate::kit::directive).collect();
    sent[1].origin.emitter = EmitterId::new("hr").unwrap();
    let bytes = encode_forward(&sent, rights(), &chain(), &controller_key());
    assert_eq!(decode_forward(&bytes, &trust(), NOW), Ok((sent.clone(), rights())));
    for key in [emitter_key(), agent_key()] {
        let forged = encode_forward(&sent, rights(), &chain(), &key);
        assert_eq!(decode_forward(&forged, &trust(), NOW).unwrap_err().code(), "wrong_role");
    }
    let other = ChainId::new("other.1").unwrap();
    let replayed = encode_forward(&sent, rights(), &other, &controller_key());
    assert_eq!(decode_forward(&replayed, &trust(), NOW).unwrap_err().code(), "wrong_chain");
}

#[test]
fn a_forward_is_bounded() {
    let [ask, ..] = asks();
    let sent = vec![crate::kit::directive(ask); FORWARD_DIRECTIVES_MAX + 1];
    let bytes = encode_forward(&sent, rights(), &chain(), &controller_key());
    assert_eq!(decode_forward(&bytes, &trust(), NOW).unwrap_err().code(), "count");
    let whole = encode_forward(&sent[..2], rights(), &chain(), &controller_key());
    for end in 0..whole.len() {
        assert!(decode_forward(&whole[..end], &trust(), NOW).is_err());
    }
}
