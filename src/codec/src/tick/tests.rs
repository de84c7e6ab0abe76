use prost::Message as _;

use super::*;
use crate::kit::*;

fn bent(bend: impl Fn(&mut proto::Tick)) -> Result<Tick, CodecError> {
    let signed = encode_tick(&tick([0; 32]), &controller_key());
    let envelope = proto::Envelope::decode(signed.envelope()).unwrap();
    let mut wire = proto::Tick::decode(&envelope.payload[..]).unwrap();
    bend(&mut wire);
    let sealed = seal(Domain::Tick, &controller_key(), &wire.encode_to_vec());
    open_tick(Sealed::parse(Domain::Tick, &sealed)?, &trust())
}

#[test]
fn a_tick_says_everything_or_nothing() {
    assert!(bent(|_| {}).is_ok());
    for bend in [
        (|wire| wire.epoch = 0) as fn(&mut proto::Tick),
        |wire| wire.lease_ms = 0,
        |wire| wire.lease_ms = 30_001,
        |wire| wire.heads.truncate(1),
        |wire| wire.heads.swap(0, 1),
        |wire| wire.heads.push(wire.heads[1].clone()),
        |wire| wire.heads[0].position = None,
        |wire| wire.heads[0].entry_hash.clear(),
        |wire| wire.state_digest.truncate(15),
        |wire| wire.nonce_root.clear(),
        |wire| wire.controller_id = "c2".into(),
        |wire| wire.boot.push(1),
    ] {
        assert!(bent(bend).is_err());
    }
}
