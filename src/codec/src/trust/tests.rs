use rescind_core::ids::ChainId;

use super::*;
use crate::kit::*;
use crate::{Domain, PublicKey, SecretKey, seal};

fn problem(result: Result<TrustBundle, TrustError>) -> CertError {
    match result {
        Err(TrustError::Cert { source, .. }) => source,
        other => panic!("expected a refused certificate, got {other:?}"),
    }
}

fn with_cert(cert: KeyCert) -> Result<TrustBundle, TrustError> {
    TrustBundle::new(&pin(), [issue_cert(&root(), &pin(), &cert)])
}

fn controller_cert() -> KeyCert {
    certs()[0].cert().clone()
}

#[test]
fn a_bundle_survives_its_file() {
    let bundle = trust();
    let read = TrustBundle::load(&bundle.to_json(), &pin()).unwrap();
    assert!(read.certs().eq(bundle.certs()));
    let found = read.find(emitter_key().key_id(), Role::Emitter, NOW).unwrap();
    assert_eq!(found.identity, Identity::Emitter(emitter_id(), rights()));
    let pin_read = RealmPin::parse(&pin().to_json()).unwrap();
    assert_eq!(pin_read, pin());
}

#[test]
fn lookups_ask_for_key_role_and_time() {
    let bundle = trust();
    let key_id = agent_key().key_id();
    assert!(bundle.find(key_id, Role::Agent, VALID_FROM).is_ok());
    let code = |found: Result<&KeyCert, TrustRefusal>| found.unwrap_err().code();
    assert_eq!(code(bundle.find(stranger_key().key_id(), Role::Agent, NOW)), "unknown_key");
    assert_eq!(code(bundle.find(key_id, Role::Controller, NOW)), "wrong_role");
    assert_eq!(code(bundle.find(key_id, Role::Agent, VALID_UNTIL)), "expired");
    assert_eq!(code(bundle.find(key_id, Role::Agent, UnixMs(VALID_FROM.0 - 1))), "not_yet_valid");
}

#[test]
fn a_renewal_extends_and_the_later_one_wins() {
    let old = controller_cert();
    let new = KeyCert { not_before: UnixMs(NOW.0), not_after: UnixMs(VALID_UNTIL.0 + 1000), ..old.clone() };
    let issue = |cert| issue_cert(&root(), &pin(), cert);
    let bundle = TrustBundle::new(&pin(), [issue(&old), issue(&new)]).unwrap();
    let find = |at| bundle.find(controller_key().key_id(), Role::Controller, at);
    assert_eq!(find(VALID_FROM), Ok(&old));
    assert_eq!(find(NOW), Ok(&new));
    assert_eq!(find(VALID_UNTIL), Ok(&new));
    let gap = KeyCert { not_before: UnixMs(VALID_UNTIL.0 + 10), not_after: UnixMs(i64::MAX), ..old.clone() };
    let bundle = TrustBundle::new(&pin(), [issue(&old), issue(&gap)]).unwrap();
    let between = bundle.find(controller_key().key_id(), Role::Controller, UnixMs(VALID_UNTIL.0 + 5));
    assert_eq!(between.unwrap_err().code(), "expired");
}

#[test]
fn s7_only_the_pinned_root_certifies() {
    let forged = issue_cert(&stranger_key(), &pin(), &controller_cert());
    let refusal = problem(TrustBundle::new(&pin(), [forged]));
    assert_eq!(refusal, CertError::NotByRoot { seen: stranger_key().key_id() });
    let honest = certs()[0].bytes().to_vec();
    for at in 0..honest.len() {
        let mut bytes = honest.clone();
        bytes[at] ^= 1;
        assert!(IssuedCert::verify(bytes, &pin()).is_err(), "byte {at}");
        assert!(IssuedCert::verify(honest[..at].to_vec(), &pin()).is_err(), "cut to {at}");
    }
}

#[test]
fn s17_certificates_of_another_realm_or_chain_are_refused() {
    let elsewhere = [
        RealmPin::new("prod", chain(), root().public()).unwrap(),
        RealmPin::new("demo", ChainId::new("demo.other").unwrap(), root().public()).unwrap(),
    ];
    for other in elsewhere {
        let cert = issue_cert(&root(), &other, &controller_cert());
        let refusal = problem(TrustBundle::new(&pin(), [cert.clone()]));
        assert!(matches!(refusal, CertError::WrongRealm { .. }), "{refusal}");
        let bundle = TrustBundle::new(&other, [cert]).unwrap().to_json();
        assert!(matches!(TrustBundle::load(&bundle, &pin()), Err(TrustError::WrongRealm { .. })));
    }
}

#[test]
fn certificates_that_make_no_sense_are_refused() {
    let empty = KeyCert { not_after: VALID_FROM, ..controller_cert() };
    assert_eq!(problem(with_cert(empty)), CertError::EmptyValidity);
    let everything = Rights { rung_max: 17, ..rights() };
    let too_wide = KeyCert { identity: Identity::Emitter(emitter_id(), everything), ..controller_cert() };
    assert!(matches!(problem(with_cert(too_wide)), CertError::Unreadable(CodecError::Range { .. })));
}

#[test]
fn one_key_has_one_owner_and_role() {
    let shared = cert(Identity::Agent(agent_id()), &controller_key());
    let refusal = problem(TrustBundle::new(&pin(), [certs()[0].clone(), shared]));
    assert!(matches!(refusal, CertError::SharedKey { .. }), "{refusal}");
}

fn forge(change: impl Fn(&mut rescind_schemas::v1::KeyCert)) -> CertError {
    use prost::Message as _;
    let issued = certs()[2].clone();
    let envelope = rescind_schemas::v1::Envelope::decode(issued.bytes()).unwrap();
    let mut wire = rescind_schemas::v1::KeyCert::decode(&envelope.payload[..]).unwrap();
    change(&mut wire);
    IssuedCert::verify(seal(Domain::Cert, &root(), &wire.encode_to_vec()), &pin()).unwrap_err()
}

#[test]
fn what_even_the_root_cannot_certify() {
    let small_order = forge(|wire| wire.public_key = [[1].as_slice(), &[0; 31]].concat());
    assert_eq!(small_order, CertError::Key(KeyError::Weak));
    assert!(matches!(
        forge(|wire| wire.public_key.truncate(31)),
        CertError::Unreadable(CodecError::Length { .. })
    ));
    assert!(matches!(forge(|wire| wire.name.clear()), CertError::Name(_)));
    assert!(matches!(forge(|wire| wire.name = "a*".into()), CertError::Name(_)));
    assert_eq!(forge(|wire| wire.rights = None), CertError::Rights);
    assert_eq!(forge(|wire| wire.role = 2), CertError::Rights);
    let missing = CertError::Unreadable(CodecError::Missing { field: "role" });
    assert_eq!(forge(|wire| wire.role = 0), missing);
    let unknown = CertError::Unreadable(CodecError::UnknownKind { field: "role" });
    assert_eq!(forge(|wire| wire.role = 9), unknown);
}

#[test]
fn a_word_of_a_later_version_gives_nothing() {
    use prost::Message as _;
    let envelope = rescind_schemas::v1::Envelope::decode(certs()[2].bytes()).unwrap();
    let mut wire = rescind_schemas::v1::KeyCert::decode(&envelope.payload[..]).unwrap();
    wire.rights.as_mut().unwrap().words = vec!["drill".into(), "lift".into()];
    let issued = IssuedCert::verify(seal(Domain::Cert, &root(), &wire.encode_to_vec()), &pin()).unwrap();
    let Identity::Emitter(_, rights) = &issued.cert().identity else { panic!("an emitter") };
    assert_eq!(rights.words.iter().map(|word| word.word()).collect::<Vec<_>>(), ["lift"]);
}

#[test]
fn errors_name_the_certificate() {
    let json = trust().to_json().replace("payments-1", "payments-2");
    let error = TrustBundle::load(&json, &pin()).unwrap_err();
    assert_eq!(error.to_string(), "certificate 2 (`agent payments-2`) of the trust bundle is not usable");
    assert!(matches!(problem(Err(error)), CertError::Mislabelled { .. }));
    let json = trust().to_json().replace("\"certificate\": \"", "\"certificate\": \"*");
    assert_eq!(problem(TrustBundle::load(&json, &pin())), CertError::NotBase64);
}

#[test]
fn files_of_another_form_are_refused() {
    let json = trust().to_json();
    let load = |json: &str| TrustBundle::load(json, &pin()).unwrap_err();
    assert!(matches!(load(""), TrustError::Json { .. }));
    assert!(matches!(load(&json.replace("rescind-trust/1", "rescind-trust/2")), TrustError::Form { .. }));
    assert!(matches!(load(&json.replacen('{', "{\"extra\":1,", 1)), TrustError::Json { .. }));
    let pinned = pin().to_json();
    let parse = |json: &str| RealmPin::parse(json).unwrap_err();
    assert!(matches!(parse("{}"), TrustError::Json { .. }));
    assert!(matches!(parse(&pinned.replace("\"demo\"", "\"de mo\"")), TrustError::Name(_)));
    let weak = SecretKey::from_seed([1; 32]).public().to_string();
    let zero = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert!(matches!(parse(&pinned.replace(&weak, zero)), TrustError::Root(KeyError::Weak)));
    assert!(matches!(parse(&" ".repeat(5000)), TrustError::TooLarge { .. }));
    assert!(PublicKey::parse(zero).is_err());
}
