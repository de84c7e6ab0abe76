use bytes::Bytes;
use proptest::prelude::*;

use super::{check_url, client_tls, parts};

fn framed(entries: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend(u32::try_from(entry.len()).unwrap().to_be_bytes());
        out.extend(*entry);
    }
    out
}

#[test]
fn a_range_comes_apart_as_it_was_put_together() {
    let body = Bytes::from(framed(&[b"one", b"", b"three"]));
    let found = parts(body, 3).unwrap();
    assert_eq!(found, [&b"one"[..], b"", b"three"]);
    assert_eq!(parts(Bytes::new(), 3).unwrap(), Vec::<Bytes>::new());
}

#[test]
fn a_range_that_does_not_add_up_is_no_range() {
    let body = framed(&[b"one", b"two"]);
    for end in 1..body.len() {
        let whole = end == framed(&[b"one"]).len();
        assert_eq!(parts(Bytes::copy_from_slice(&body[..end]), 9).is_some(), whole, "{end}");
    }
    assert!(parts(Bytes::from(body), 1).is_none(), "more entries than asked for");
    assert!(parts(Bytes::from(vec![0xff; 64]), 9).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_taken_apart_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let length = body.len();
        if let Some(found) = parts(Bytes::from(body), 50) {
            prop_assert_eq!(found.iter().map(|part| part.len() + 4).sum::<usize>(), length);
        }
    }
}

#[test]
fn only_plain_https_addresses_are_taken() {
    assert_eq!(check_url("https://10.0.0.1:7422").unwrap(), "https://10.0.0.1:7422");
    assert_eq!(check_url("https://c1.example:7422/").unwrap(), "https://c1.example:7422");
    for wrong in
        ["http://10.0.0.1:7422", "10.0.0.1:7422", "https://", "https://u:p@c1:7422", "https://c1:7422/x", ""]
    {
        assert!(check_url(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_authority_file_must_hold_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    assert!(client_tls(&path).unwrap_err().contains("ca.pem"));
    std::fs::write(&path, "hello").unwrap();
    assert!(client_tls(&path).unwrap_err().contains("no certificate"));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(client_tls(&path).is_err());
}
