//! What agents, emitters and controllers say to each other.

use rescind_codec::{
    Domain, decode_answer, decode_chunk, decode_directive, decode_grant, decode_lease_request,
    decode_manifest, decode_repair, decode_report, decode_snapshot_request, encode_answer, encode_directive,
    encode_lease_request, encode_manifest, encode_repair, encode_report, encode_snapshot_request,
};
use rescind_core::ids::{AgentId, IdempotencyKey, InstanceId};
use rescind_core::lease::{LeaseRequest, Nonce};

use crate::realm::{NOW, PIN, TRUST, agent, controller, emitter, emitter_id, forms};

/// Requests for a lease.
pub fn lease_request(bytes: &[u8]) {
    for form in forms(bytes, Domain::LeaseRequest, &agent()) {
        if let Ok(read) = decode_lease_request(&form, &TRUST, NOW) {
            let again = encode_lease_request(&read, &PIN.chain, &agent());
            assert_eq!(decode_lease_request(&again, &TRUST, NOW), Ok(read));
        }
    }
}

/// Answers to them. Nothing but a nonce that was asked for is ever granted.
pub fn lease_grant(bytes: &[u8]) {
    let request = LeaseRequest {
        agent: AgentId::new("payments-1").unwrap(),
        instance: InstanceId([0x22; 16]),
        nonce: Nonce([2; 16]),
    };
    if let Ok(read) = decode_grant(bytes, &request, &TRUST) {
        assert_eq!(read.nonce, request.nonce);
    }
}

/// Reports of agents.
pub fn report(bytes: &[u8]) {
    for form in forms(bytes, Domain::Report, &agent()) {
        if let Ok(read) = decode_report(&form, &TRUST, NOW) {
            let again = encode_report(&read, &PIN.chain, &agent());
            assert_eq!(decode_report(&again, &TRUST, NOW), Ok(read));
        }
    }
}

/// Directives of emitters.
pub fn directive(bytes: &[u8]) {
    for form in forms(bytes, Domain::Directive, &emitter()) {
        if let Ok((read, rights)) = decode_directive(&form, &TRUST, NOW) {
            let again = encode_directive(&read, &PIN.chain, &emitter());
            assert_eq!(decode_directive(&again, &TRUST, NOW), Ok((read, rights)));
        }
    }
}

/// Answers to them.
pub fn directive_answer(bytes: &[u8]) {
    let (to, key) = (emitter_id(), IdempotencyKey::new("case-7").unwrap());
    for form in forms(bytes, Domain::DirectiveAnswer, &controller()) {
        if let Ok(read) = decode_answer(&form, &to, &key, &TRUST) {
            let again = encode_answer(&read, &to, &key, &PIN.chain, NOW, &controller());
            assert_eq!(decode_answer(&again, &to, &key, &TRUST), Ok(read));
        }
    }
}

/// What a snapshot consists of.
pub fn manifest(bytes: &[u8]) {
    for form in forms(bytes, Domain::Manifest, &controller()) {
        if let Ok((read, _)) = decode_manifest(&form, &TRUST) {
            let (again, id) = encode_manifest(&read, &controller());
            assert_eq!(decode_manifest(&again, &TRUST), Ok((read, id)));
        }
    }
}

/// A chunk of a snapshot. Its hash is not known here, so the check of it is what is reached.
pub fn chunk(bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    assert!(decode_chunk(bytes, &(length, [0; 32])).is_err(), "a chunk of another hash was taken");
}

/// Requests for entries; nobody signs them.
pub fn repair_request(bytes: &[u8]) {
    if let Ok(read) = decode_repair(bytes) {
        assert_eq!(decode_repair(&encode_repair(&read)), Ok(read));
    }
}

/// Requests for snapshots; nobody signs them.
pub fn snapshot_request(bytes: &[u8]) {
    if let Ok(read) = decode_snapshot_request(bytes) {
        assert_eq!(decode_snapshot_request(&encode_snapshot_request(&read)), Ok(read));
    }
}
