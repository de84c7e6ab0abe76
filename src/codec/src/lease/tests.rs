use super::*;
use crate::kit::*;
use crate::{NonceTree, encode_tick};

#[test]
fn s1_a_grant_answers_its_own_request_only() {
    let requests = [lease_request(1), lease_request(2), lease_request(3)];
    let tree = NonceTree::new(&requests);
    let signed = encode_tick(&tick(tree.root()), &controller_key());
    let grant = encode_grant(&signed, &tree.path(1).unwrap());
    assert_eq!(decode_grant(&grant, &requests[1], &trust()).map(|grant| grant.nonce), Ok(requests[1].nonce));
    for other in [&requests[0], &requests[2], &lease_request(9)] {
        assert_eq!(decode_grant(&grant, other, &trust()), Err(CodecError::NotProven));
    }
}

#[test]
fn a_tick_alone_proves_nothing() {
    let request = lease_request(1);
    let tree = NonceTree::new(std::slice::from_ref(&request));
    let heartbeat = encode_tick(&tick([0; 32]), &controller_key());
    let grant = encode_grant(&heartbeat, &tree.path(0).unwrap());
    assert_eq!(decode_grant(&grant, &request, &trust()), Err(CodecError::NotProven));
}

#[test]
fn s7_nobody_but_a_controller_grants() {
    let request = lease_request(1);
    let tree = NonceTree::new(std::slice::from_ref(&request));
    for (key, code) in [(agent_key(), "wrong_role"), (stranger_key(), "unknown_key")] {
        let grant = encode_grant(&encode_tick(&tick(tree.root()), &key), &tree.path(0).unwrap());
        assert_eq!(decode_grant(&grant, &request, &trust()).unwrap_err().code(), code);
    }
}

#[test]
fn s7_an_agent_asks_for_itself() {
    let other = AgentId::new("payments-2").unwrap();
    let sent =
        encode_lease_request(&LeaseRequest { agent: other, ..lease_request(1) }, &chain(), &agent_key());
    assert_eq!(decode_lease_request(&sent, &trust(), NOW).unwrap_err().code(), "wrong_name");
}

#[test]
fn a_path_of_hashes_only() {
    let request = lease_request(1);
    let tree = NonceTree::new(&[request.clone(), lease_request(2)]);
    let signed = encode_tick(&tick(tree.root()), &controller_key());
    let mut wire = proto::LeaseGrant::decode(&encode_grant(&signed, &tree.path(0).unwrap())[..]).unwrap();
    wire.path[0].push(0);
    assert_eq!(decode_grant(&wire.encode_to_vec(), &request, &trust()).unwrap_err().code(), "length");
    wire.path = vec![vec![0; 32]; 33];
    assert_eq!(decode_grant(&wire.encode_to_vec(), &request, &trust()).unwrap_err().code(), "count");
}
