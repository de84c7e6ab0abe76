use rescind_core::lease::{LeaseRequest, Nonce};

use super::*;
use crate::kit::lease_request;

fn requests(count: usize) -> Vec<LeaseRequest> {
    let numbered = |n: usize| LeaseRequest { nonce: Nonce((n as u128).to_be_bytes()), ..lease_request(0) };
    (0..count).map(numbered).collect()
}

/// The definition of RFC 6962 section 2.1, word for word.
fn root_by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => [0; 32],
        [leaf] => *leaf,
        _ => {
            let split = (leaves.len().next_power_of_two() / 2).max(1);
            node(&root_by_definition(&leaves[..split]), &root_by_definition(&leaves[split..]))
        }
    }
}

#[test]
fn every_leaf_of_every_size_is_proven_and_nothing_else_is() {
    for size in 0..70 {
        let requests = requests(size);
        let tree = NonceTree::new(&requests);
        let leaves: Vec<_> = requests.iter().map(leaf).collect();
        assert_eq!(tree.root(), root_by_definition(&leaves), "{size}");
        assert_eq!(tree.path(size), None);
        for (index, request) in requests.iter().enumerate() {
            let path = tree.path(index).unwrap();
            assert!(path.proves(request, &tree.root()), "{index} of {size}");
            let other = &requests[(index + 1) % size];
            assert_eq!(path.proves(other, &tree.root()), size == 1, "wrong leaf, {index} of {size}");
            assert!(!path.proves(request, &[1; 32]));
        }
    }
}

#[test]
fn a_path_is_bound_to_its_index_and_length() {
    for size in 2..70 {
        let requests = requests(size);
        let tree = NonceTree::new(&requests);
        for (index, request) in requests.iter().enumerate() {
            let path = tree.path(index).unwrap();
            for wrong in (0..path.size + 2).filter(|wrong| *wrong != path.index) {
                let moved = NoncePath { index: wrong, ..path.clone() };
                assert!(!moved.proves(request, &tree.root()), "{index} as {wrong} of {size}");
            }
            let mut short = path.clone();
            short.hashes.pop();
            assert!(!short.proves(request, &tree.root()));
            let mut long = path.clone();
            long.hashes.push([3; 32]);
            assert!(!long.proves(request, &tree.root()));
        }
    }
}

#[test]
fn a_leaf_is_agent_instance_and_nonce() {
    let asked = lease_request(1);
    let tree = NonceTree::new(std::slice::from_ref(&asked));
    let path = tree.path(0).unwrap();
    assert!(path.proves(&asked, &tree.root()));
    let agent = rescind_core::ids::AgentId::new("payments-2").unwrap();
    let instance = rescind_core::ids::InstanceId([0x23; 16]);
    assert!(!path.proves(&LeaseRequest { agent, ..asked.clone() }, &tree.root()));
    assert!(!path.proves(&LeaseRequest { instance, ..asked.clone() }, &tree.root()));
    assert!(!path.proves(&lease_request(2), &tree.root()));
}

#[test]
fn nonsense_paths_prove_nothing() {
    let request = lease_request(1);
    let hashes = vec![[0; 32]; PATH_HASHES_MAX + 1];
    for (index, size) in [(0, 0), (1, 1), (u32::MAX, u32::MAX), (u32::MAX - 1, u32::MAX)] {
        let path = NoncePath { index, size, hashes: hashes.clone() };
        assert!(!path.proves(&request, &[0; 32]));
        let path = NoncePath { index, size, hashes: hashes[..PATH_HASHES_MAX].to_vec() };
        assert!(!path.proves(&request, &[0; 32]));
    }
}
