//! Golden vectors: one message of every kind in `schemas/golden`, in bytes (`.bin`) and in words (`.json`).
//!
//! Files there are never rewritten: a difference is a break of the contract. `RESCIND_GOLDEN_ADD=1` adds those
//! that are missing, and nothing else.

mod words;

use std::fs;
use std::path::PathBuf;

use rescind_core::change::Ask;
use rescind_core::position::{Lane, Revision};
use serde_json::Value;

use crate::kit::*;
use crate::*;

/// One file: the bytes of an honest value, and the words for what such bytes decode to.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    words: fn(&[u8]) -> Value,
}

fn vector(name: &str, bytes: Vec<u8>, words: fn(&[u8]) -> Value) -> Vector {
    Vector { name: name.to_owned(), bytes, words }
}

fn log_words(bytes: &[u8], lane: Lane) -> Value {
    match decode_log_message(bytes, lane, &trust()).unwrap() {
        LogItem::Entry(chained) => words::entry(&chained),
        LogItem::Tick(tick, _) => words::tick(&tick),
    }
}

fn chunk() -> Chunk {
    let mut writer = ChunkWriter::new();
    items().iter().for_each(|item| assert_eq!(writer.push(item), None));
    writer.finish().unwrap()
}

fn tree() -> NonceTree {
    NonceTree::new(&[lease_request(1), lease_request(2), lease_request(3)])
}

fn ask_name(ask: &Ask) -> String {
    use rescind_core::change::LiftCutoff as Cutoff;
    let suffix = match ask {
        Ask::Lift { cutoff: Cutoff::Resume, .. } => "_resume",
        Ask::Lift { cutoff: Cutoff::Now, .. } => "_now",
        Ask::Lift { cutoff: Cutoff::At(_), .. } => "_at",
        _ => "",
    };
    format!("directive_{}{suffix}", ask.word())
}

fn answers() -> [(&'static str, DirectiveAnswer); 3] {
    let accepted = DirectiveAnswer::Accepted {
        id: deny(13),
        position: deny(13).position(),
        existing: false,
        accepted_at: NOW,
        cutoff: Some(rescind_core::time::UnixS(1_760_000_000)),
    };
    let message = "this emitter may not `kill`; ask an emitter that may";
    let refused = DirectiveAnswer::Refused { code: "rights".into(), message: message.into() };
    let indeterminate = DirectiveAnswer::Indeterminate { id: deny(13) };
    [("answer_accepted", accepted), ("answer_indeterminate", indeterminate), ("answer_refused", refused)]
}

fn agent_vectors() -> Vec<Vector> {
    let signed = encode_tick(&tick(tree().root()), &controller_key());
    let repair = RepairRequest { lane: Lane::Grant(0), after: Revision(4), entries_max: 64 };
    let request = encode_lease_request(&lease_request(2), &chain(), &agent_key());
    vec![
        vector("lease_request", request, |bytes| {
            words::lease_request(&decode_lease_request(bytes, &trust(), NOW).unwrap())
        }),
        vector("lease_grant", encode_grant(&signed, &tree().path(1).unwrap()), |bytes| {
            words::grant(&decode_grant(bytes, &lease_request(2), &trust()).unwrap())
        }),
        vector("report", encode_report(&report(), &chain(), &agent_key()), |bytes| {
            words::report(&decode_report(bytes, &trust(), NOW).unwrap())
        }),
        vector("repair_request", encode_repair(&repair), |bytes| {
            words::repair(&decode_repair(bytes).unwrap())
        }),
    ]
}

fn snapshot_vectors() -> Vec<Vector> {
    let snapshot_words = |bytes: &[u8]| words::snapshot_request(&decode_snapshot_request(bytes).unwrap());
    let count = items().len() as u64;
    let (manifest, id) = encode_manifest(&manifest(vec![chunk().listing()], count), &controller_key());
    let one = SnapshotRequest::Chunk { manifest: id, index: 0 };
    vec![
        vector("manifest", manifest, |bytes| {
            let (manifest, id) = decode_manifest(bytes, &trust()).unwrap();
            words::manifest(&manifest, id)
        }),
        vector("snapshot_chunk", chunk().bytes, |bytes| {
            let hash = <sha2::Sha256 as sha2::Digest>::digest(bytes).into();
            let items = decode_chunk(bytes, &(u32::try_from(bytes.len()).unwrap(), hash)).unwrap();
            items.map(|item| words::item(&item.unwrap())).collect()
        }),
        vector(
            "snapshot_request_manifest",
            encode_snapshot_request(&SnapshotRequest::Manifest),
            snapshot_words,
        ),
        vector("snapshot_request_chunk", encode_snapshot_request(&one), snapshot_words),
    ]
}

fn vectors() -> Vec<Vector> {
    let key = controller_key();
    let signed = encode_tick(&tick(tree().root()), &key);
    let mut vectors = vec![
        vector("entry_deny", encode_entry(&deny_entry(), &key).0, |bytes| log_words(bytes, Lane::Deny)),
        vector("entry_forget", encode_entry(&forget_entry(), &key).0, |bytes| log_words(bytes, Lane::Deny)),
        vector("entry_grant", encode_entry(&grant_entry(), &key).0, |bytes| log_words(bytes, Lane::Grant(0))),
        vector("entry_fence", encode_entry(&fence(Lane::Deny), &key).0, |bytes| log_words(bytes, Lane::Deny)),
        vector("entry_fence_lost", encode_entry(&lost_fence(Lane::Grant(0)), &key).0, |bytes| {
            log_words(bytes, Lane::Grant(0))
        }),
        vector("recovery_approval", approvals(&recovery())[0].statement.to_vec(), |bytes| {
            let (principal, statement) = decode_approval(bytes, &trust(), NOW).unwrap();
            words::recovery(&principal, &statement)
        }),
        vector("tick", signed.log_message(), |bytes| log_words(bytes, Lane::Deny)),
    ];
    vectors.extend(agent_vectors());
    vectors.extend(snapshot_vectors());
    for ask in asks() {
        let name = ask_name(&ask);
        let bytes = encode_directive(&directive(ask), &chain(), &emitter_key());
        vectors.push(vector(&name, bytes, |bytes| {
            let (directive, rights) = decode_directive(bytes, &trust(), NOW).unwrap();
            words::directive(&directive, &rights)
        }));
    }
    for (name, answer) in answers() {
        let bytes = encode_answer(&answer, &emitter_id(), &origin("case-7").key, &chain(), NOW, &key);
        vectors.push(vector(name, bytes, |bytes| {
            words::answer(&decode_answer(bytes, &emitter_id(), &origin("case-7").key, &trust()).unwrap())
        }));
    }
    for issued in certs() {
        let name = format!("cert_{}", issued.cert().identity.role());
        vectors.push(vector(&name, issued.bytes().to_vec(), |bytes| {
            words::cert(IssuedCert::verify(bytes.to_vec(), &pin()).unwrap().cert())
        }));
    }
    vectors
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../schemas/golden")
}

/// The file's bytes; adds the file where that was asked for.
fn kept(file: &str, fresh: &[u8]) -> Vec<u8> {
    let path = folder().join(file);
    if !path.exists() && std::env::var_os("RESCIND_GOLDEN_ADD").is_some_and(|add| add == "1") {
        fs::write(&path, fresh).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{file}: {error}; RESCIND_GOLDEN_ADD=1 adds missing files"))
}

#[test]
fn bytes_and_words_of_every_kind_stay_as_they_are() {
    for Vector { name, bytes, words } in vectors() {
        let kept_bytes = kept(&format!("{name}.bin"), &bytes);
        assert_eq!(hex::encode(&kept_bytes), hex::encode(&bytes), "{name} is encoded differently");
        let fresh = words(&kept_bytes);
        let text = serde_json::to_string_pretty(&fresh).unwrap() + "\n";
        let kept_words: Value =
            serde_json::from_slice(&kept(&format!("{name}.json"), text.as_bytes())).unwrap();
        assert_eq!(kept_words, fresh, "{name} is decoded differently");
    }
}

#[test]
fn every_file_has_its_vector() {
    let mut expected: Vec<_> = vectors()
        .iter()
        .flat_map(|vector| ["bin", "json"].map(|end| format!("{}.{end}", vector.name)))
        .collect();
    // The first is checked by the compatibility test of the schemas.
    expected.extend(["descriptor_v1.bin", "README.md"].map(str::to_owned));
    for file in fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains(&name), "{name} is checked by no test");
    }
}
