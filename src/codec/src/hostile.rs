//! Bytes that nobody honest sends: every kind of message against every way of being wrong.

use proptest::prelude::*;
use prost::Message as _;
use rescind_core::ids::ChainId;
use rescind_core::position::Lane;
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use crate::kit::*;
use crate::*;

/// A signed kind: its domain, an honest payload, and its decoder.
struct Kind {
    domain: Domain,
    signer: SecretKey,
    payload: Vec<u8>,
    decode: fn(&[u8], &TrustBundle, UnixMs) -> Result<(), CodecError>,
}

fn log(bytes: &[u8], field: u8, trust: &TrustBundle) -> Result<(), CodecError> {
    let mut message = Vec::new();
    crate::wire::put_field(&mut message, field, bytes);
    decode_log_message(&message, Lane::Deny, trust).map(drop).map_err(|error| error.error)
}

fn payload(envelope: &[u8]) -> Vec<u8> {
    proto::Envelope::decode(envelope).unwrap().payload
}

fn log_payload(message: &[u8]) -> Vec<u8> {
    match proto::LogMessage::decode(message).unwrap().message.unwrap() {
        proto::log_message::Message::Entry(envelope) | proto::log_message::Message::Tick(envelope) => {
            envelope.payload
        }
    }
}

fn kinds() -> Vec<Kind> {
    let small = entry(Lane::Deny, 13, vec![revoke(13)]);
    let key = origin("case-7").key;
    let answer = DirectiveAnswer::Indeterminate { id: deny(13) };
    let [ask, ..] = asks();
    let kind = |domain, signer, payload, decode| Kind { domain, signer, payload, decode };
    vec![
        kind(
            Domain::Entry,
            controller_key(),
            log_payload(&encode_entry(&small, &controller_key()).0),
            |b, t, _| log(b, 1, t),
        ),
        kind(
            Domain::Tick,
            controller_key(),
            payload(encode_tick(&tick([0; 32]), &controller_key()).envelope()),
            |b, t, _| log(b, 2, t),
        ),
        kind(
            Domain::LeaseRequest,
            agent_key(),
            payload(&encode_lease_request(&lease_request(1), &chain(), &agent_key())),
            |b, t, now| decode_lease_request(b, t, now).map(drop),
        ),
        kind(
            Domain::Report,
            agent_key(),
            payload(&encode_report(&report(), &chain(), &agent_key())),
            |b, t, now| decode_report(b, t, now).map(drop),
        ),
        kind(
            Domain::Directive,
            emitter_key(),
            payload(&encode_directive(&directive(ask), &chain(), &emitter_key())),
            |b, t, now| decode_directive(b, t, now).map(drop),
        ),
        kind(
            Domain::DirectiveAnswer,
            controller_key(),
            payload(&encode_answer(&answer, &emitter_id(), &key, &chain(), NOW, &controller_key())),
            |b, t, _| decode_answer(b, &emitter_id(), &origin("case-7").key, t).map(drop),
        ),
        kind(
            Domain::Manifest,
            controller_key(),
            payload(&encode_manifest(&manifest(vec![(100, [5; 32])], 3), &controller_key()).0),
            |b, t, _| decode_manifest(b, t).map(drop),
        ),
    ]
}

impl Kind {
    fn honest(&self) -> Vec<u8> {
        seal(self.domain, &self.signer, &self.payload)
    }

    fn try_at_now(&self, bytes: &[u8]) -> Result<(), CodecError> {
        (self.decode)(bytes, &trust(), NOW)
    }
}

#[test]
fn honest_messages_pass() {
    for kind in kinds() {
        assert_eq!(kind.try_at_now(&kind.honest()), Ok(()), "{:?}", kind.domain);
    }
}

#[test]
fn s7_every_changed_bit_is_detected() {
    for kind in kinds() {
        let honest = kind.honest();
        for at in 0..honest.len() {
            for bit in 0..8 {
                let mut bytes = honest.clone();
                bytes[at] ^= 1 << bit;
                assert!(kind.try_at_now(&bytes).is_err(), "{:?}: byte {at} bit {bit}", kind.domain);
            }
        }
    }
}

#[test]
fn s7_every_truncation_and_every_addition_is_detected() {
    for kind in kinds() {
        let honest = kind.honest();
        for length in 0..honest.len() {
            assert!(kind.try_at_now(&honest[..length]).is_err(), "{:?} cut to {length}", kind.domain);
        }
        for extra in [&[0][..], &[0x22, 0], &[0x20, 1], &honest] {
            let bytes = [&honest, extra].concat();
            assert!(kind.try_at_now(&bytes).is_err(), "{:?} with {extra:?} behind", kind.domain);
        }
    }
}

#[test]
fn a_truncated_payload_that_is_signed_anyway_is_refused() {
    for kind in kinds() {
        for length in 0..kind.payload.len() {
            let bytes = seal(kind.domain, &kind.signer, &kind.payload[..length]);
            // Only optional fields may be missing at the end of what is read leniently.
            let lenient = matches!(kind.domain, Domain::Report | Domain::LeaseRequest);
            let optional_tail = matches!(kind.domain, Domain::Manifest) || lenient;
            assert!(kind.try_at_now(&bytes).is_err() || optional_tail, "{:?} cut to {length}", kind.domain);
        }
    }
}

#[test]
fn s7_a_signature_of_one_domain_is_worth_nothing_in_another() {
    let domains = [
        Domain::Entry,
        Domain::Tick,
        Domain::LeaseRequest,
        Domain::Report,
        Domain::Directive,
        Domain::DirectiveAnswer,
        Domain::Manifest,
        Domain::Cert,
    ];
    for kind in kinds() {
        for domain in domains.into_iter().filter(|domain| *domain != kind.domain) {
            let refusal = kind.try_at_now(&seal(domain, &kind.signer, &kind.payload)).unwrap_err();
            assert_eq!(refusal.code(), "bad_signature", "{:?} sealed for {domain:?}", kind.domain);
        }
    }
}

#[test]
fn s7_only_the_right_role_may_sign() {
    for kind in kinds() {
        for key in [controller_key(), agent_key(), emitter_key()] {
            let right = key.key_id() == kind.signer.key_id();
            let result = kind.try_at_now(&seal(kind.domain, &key, &kind.payload));
            match result {
                Ok(()) => assert!(right),
                Err(refusal) => {
                    assert!(!right && refusal.code() == "wrong_role", "{:?}: {refusal}", kind.domain)
                }
            }
        }
        for key in [stranger_key(), root()] {
            let refusal = kind.try_at_now(&seal(kind.domain, &key, &kind.payload)).unwrap_err();
            assert_eq!(refusal.code(), "unknown_key");
        }
    }
}

#[test]
fn certificates_are_judged_at_the_time_of_the_message() {
    let validity = |from, until| {
        let certs = certs().map(|issued| {
            let cert =
                KeyCert { not_before: UnixMs(from), not_after: UnixMs(until), ..issued.cert().clone() };
            issue_cert(&root(), &pin(), &cert)
        });
        TrustBundle::new(&pin(), certs).unwrap()
    };
    for kind in kinds() {
        let at_now = |trust| (kind.decode)(&kind.honest(), &trust, NOW).map_err(|refusal| refusal.code());
        assert_eq!(at_now(validity(NOW.0, NOW.0 + 1)), Ok(()));
        assert_eq!(at_now(validity(0, NOW.0)), Err("expired"), "{:?}", kind.domain);
        assert_eq!(at_now(validity(NOW.0 + 1, i64::MAX)), Err("not_yet_valid"), "{:?}", kind.domain);
    }
}

#[test]
fn s17_another_realm_with_the_same_keys_is_another_realm() {
    let other = RealmPin::new("demo", ChainId::new("demo.other").unwrap(), root().public()).unwrap();
    let certs = certs().map(|issued| issue_cert(&root(), &other, issued.cert()));
    let trust = TrustBundle::new(&other, certs).unwrap();
    for kind in kinds() {
        let refusal = (kind.decode)(&kind.honest(), &trust, NOW).unwrap_err();
        assert_eq!(refusal.code(), "wrong_chain", "{:?}", kind.domain);
    }
}

#[test]
fn oversized_messages_are_refused_by_their_length() {
    for kind in kinds() {
        let bytes = vec![0x0a; ENTRY_BYTES_MAX + 1];
        assert_eq!(kind.try_at_now(&bytes).unwrap_err().code(), "too_large", "{:?}", kind.domain);
    }
    assert_eq!(decode_repair(&[0; 257]).unwrap_err().code(), "too_large");
    assert_eq!(decode_snapshot_request(&[0; 257]).unwrap_err().code(), "too_large");
    let grant = decode_grant(&vec![0; GRANT_BYTES_MAX + 1], &lease_request(1), &trust());
    assert_eq!(grant.unwrap_err().code(), "too_large");
    let chunk = vec![0; CHUNK_BYTES_MAX + 1];
    assert_eq!(decode_chunk(&chunk, &(0, [0; 32])).unwrap_err().code(), "too_large");
}

#[test]
fn unknown_and_repeated_fields_are_refused_where_they_could_hide_a_limit() {
    // Field 60, which no message has; then the first field of every payload once more.
    let unknown = [0xe0, 0x03, 0x01];
    for kind in kinds() {
        let lenient = matches!(kind.domain, Domain::Report | Domain::LeaseRequest);
        let bytes = seal(kind.domain, &kind.signer, &[&kind.payload[..], &unknown].concat());
        assert_eq!(kind.try_at_now(&bytes).is_ok(), lenient, "{:?} with an unknown field", kind.domain);
        let twice = [&kind.payload[..], &kind.payload].concat();
        let bytes = seal(kind.domain, &kind.signer, &twice);
        assert!(kind.try_at_now(&bytes).is_err() || lenient, "{:?} twice", kind.domain);
    }
}

#[test]
fn a_grant_with_any_changed_bit_is_refused_or_still_the_same_grant() {
    let requests = [lease_request(1), lease_request(2), lease_request(3)];
    let tree = NonceTree::new(&requests);
    let signed = encode_tick(&tick(tree.root()), &controller_key());
    let honest = encode_grant(&signed, &tree.path(1).unwrap());
    let grant = decode_grant(&honest, &requests[1], &trust()).unwrap();
    for at in 0..honest.len() {
        for bit in 0..8 {
            let mut bytes = honest.clone();
            bytes[at] ^= 1 << bit;
            // The tree's size is not under the root: another one that gives the same path proves the same nonce.
            if let Ok(read) = decode_grant(&bytes, &requests[1], &trust()) {
                assert_eq!(read, grant, "byte {at} bit {bit}");
            }
        }
        assert!(decode_grant(&honest[..at], &requests[1], &trust()).is_err(), "cut to {at}");
    }
}

/// What came of it is not asked: it came back.
fn tried<T>(_outcome: T) {}

fn feed_everything(bytes: &[u8]) {
    let trust = trust();
    for kind in kinds() {
        tried((kind.decode)(bytes, &trust, NOW));
    }
    for lane in [Lane::Deny, Lane::Grant(0), Lane::Grant(200)] {
        tried(decode_log_message(bytes, lane, &trust));
    }
    tried(decode_grant(bytes, &lease_request(1), &trust));
    tried(decode_repair(bytes));
    tried(decode_snapshot_request(bytes));
    let text = String::from_utf8_lossy(bytes);
    tried(SecretKey::parse(&text));
    tried(PublicKey::parse(&text));
    tried(RealmPin::parse(&text));
    tried(TrustBundle::load(&text, &pin()));
    let mut hash = [0; 32];
    hash.copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
    if let Ok(items) = decode_chunk(bytes, &(u32::try_from(bytes.len()).unwrap(), hash)) {
        items.for_each(drop);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        feed_everything(&bytes);
    }

    #[test]
    fn bent_payloads_with_good_signatures_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        insert in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        for kind in kinds() {
            let mut payload = kind.payload.clone();
            for (at, byte) in &edits {
                let at = at.index(payload.len());
                payload[at] = *byte;
            }
            let at = cut.index(payload.len());
            payload.splice(at..at, insert.iter().copied());
            feed_everything(&payload);
            tried(kind.try_at_now(&seal(kind.domain, &kind.signer, &payload)));
        }
    }
}
