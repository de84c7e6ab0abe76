//! The direct path: what it serves, and what it refuses.

use std::fs;
use std::time::Duration;

use rescind_codec::{
    LogItem, decode_grant, decode_log_message, encode_lease_request, encode_repair, encode_report,
};
use rescind_codec::{RepairRequest, TrustBundle};
use rescind_controller::Controller;
use rescind_core::digest::StateDigest;
use rescind_core::ids::{AgentId, InstanceId, ServiceName};
use rescind_core::lease::{LeaseRequest, Nonce};
use rescind_core::position::{Heads, Lane, Revision};
use rescind_core::report::{Freshness, Report};
use rescind_core::time::UnixMs;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::kit::{Api, Realm, key, until};

/// A realm whose controller has a direct path, and a client that trusts its authority alone.
fn realm() -> (Realm, reqwest::Client) {
    let mut realm = Realm::new();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::from_params(&params, &ca_key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    fs::write(realm.path("direct.pem"), own.pem()).unwrap();
    fs::write(realm.path("direct.key"), own_key.serialize_pem()).unwrap();
    realm.stream =
        "[direct]\nlisten = \"127.0.0.1:0\"\ncert_file = \"direct.pem\"\nkey_file = \"direct.key\""
            .to_owned();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    (realm, client)
}

struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    fn new(http: reqwest::Client, controller: &Controller) -> Self {
        let address = controller.direct_addr().unwrap();
        Self { http, base: format!("https://{address}/direct/v1") }
    }

    async fn post(&self, route: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let answer = self.http.post(format!("{}/{route}", self.base)).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }
}

fn request(agent: &str, nonce: u8) -> LeaseRequest {
    let agent = AgentId::new(agent).unwrap();
    LeaseRequest { agent, instance: InstanceId([7; 16]), nonce: Nonce([nonce; 16]) }
}

fn report(agent: &str, sequence: u64) -> Report {
    Report {
        agent: AgentId::new(agent).unwrap(),
        instance: InstanceId([7; 16]),
        sequence,
        service: ServiceName::new("payments").unwrap(),
        applied: Heads::default(),
        durable: Heads::default(),
        digest: StateDigest::default(),
        freshness: Freshness::Fresh,
        stale_policy: "strict(2s)".into(),
        target_kinds: 0x1ff,
        fault: "".into(),
        version: "0.1.0".into(),
        at: UnixMs(1),
        first_deny_at: None,
    }
}

/// Reads a range as it is framed: a length of four bytes before every entry.
fn revisions(mut body: &[u8], trust: &TrustBundle) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let (entry, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        match decode_log_message(entry, Lane::Deny, trust).unwrap() {
            LogItem::Entry(entry) => found.push(entry.entry.first.0),
            LogItem::Tick(..) => panic!("a tick in a range"),
        }
        body = rest;
    }
    assert!(body.is_empty());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_a_range_and_a_report_go_the_direct_way() {
    let (realm, http) = realm();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    for number in 1..=3 {
        assert_eq!(api.revoke(&format!("s{number}"), &format!("k{number}")).await.0, 200);
    }
    let direct = Client::new(http, &controller);
    let chain = &realm.pin.chain;

    let body = encode_report(&report("a1", 1), chain, &key("a1"));
    assert_eq!(direct.post("report", body).await, (204, Vec::new()));
    let heard = || async {
        let (_, agents) = api.get("/v1/agents").await;
        let rows = agents["agents"].as_array()?.clone();
        rows.iter().any(|row| row["agent"] == json!("a1") && row["heard"] == json!(true)).then_some(())
    };
    until("the report on the board", heard).await;

    let ask = request("a1", 1);
    let (status, grant) = direct.post("lease", encode_lease_request(&ask, chain, &key("a1"))).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&grant));
    let grant = decode_grant(&grant, &ask, &realm.trust).unwrap();
    assert_eq!(grant.tick.heads.deny.position.revision, Revision(3));

    let range = RepairRequest { lane: Lane::Deny, after: Revision(1), entries_max: 16 };
    let (status, body) = direct.post("repair", encode_repair(&range)).await;
    assert_eq!(status, 200);
    assert_eq!(revisions(&body, &realm.trust), [2, 3]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_direct_requests_are_refused_by_name() {
    let (realm, http) = realm();
    let controller = realm.start().await;
    let direct = Client::new(http, &controller);
    let chain = &realm.pin.chain;
    assert_eq!(direct.post("lease", b"nonsense".to_vec()).await.0, 403);
    let forged = encode_lease_request(&request("a1", 1), chain, &key("a2"));
    assert_eq!(direct.post("lease", forged).await.0, 403, "a2 asks in the name of a1");
    let unknown = encode_report(&report("a1", 1), chain, &key("mallory"));
    assert_eq!(direct.post("report", unknown).await.0, 403);
    assert_eq!(direct.post("repair", vec![0xff; 16]).await.0, 400);
    assert_eq!(direct.post("lease", vec![0; 9 * 1024]).await.0, 413);
    // A body that is far too long is not read to its end: the sender may see the cut before the answer.
    let flood = direct.http.post(format!("{}/lease", direct.base)).body(vec![0; 1 << 20]).send().await;
    assert!(flood.map_or(true, |answer| answer.status().as_u16() == 413));
    assert_eq!(direct.post("report", vec![0; 9 * 1024]).await.0, 413);
    assert_eq!(direct.post("shell", Vec::new()).await.0, 404);
    let get = direct.http.get(format!("{}/lease", direct.base)).send().await.unwrap();
    assert_eq!(get.status().as_u16(), 405);
    let mut codes = Vec::new();
    for sequence in 2..62 {
        let body = encode_report(&report("a2", sequence), chain, &key("a2"));
        codes.push(direct.post("report", body).await.0);
    }
    assert!(codes.contains(&429), "one agent cannot flood: {codes:?}");
    let body = encode_report(&report("a1", 2), chain, &key("a1"));
    assert_eq!(direct.post("report", body).await.0, 204, "and uses up nobody else's share");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_or_trusts_another_authority_gets_nothing() {
    let (realm, _) = realm();
    let (_, stranger) = self::realm();
    let controller = realm.start().await;
    let address = controller.direct_addr().unwrap();
    let direct = Client::new(stranger, &controller);
    let refused = direct.http.post(format!("{}/lease", direct.base)).send().await;
    assert!(refused.unwrap_err().is_connect());
    let mut plain = tokio::net::TcpStream::connect(address).await.unwrap();
    plain.write_all(b"POST /direct/v1/lease HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), plain.read_to_end(&mut answer)).await;
    read.unwrap().ok();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    controller.stop().await;
}
