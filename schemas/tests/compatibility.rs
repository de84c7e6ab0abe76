//! The protos of today can still be read by everybody who knows those of version 1.
//!
//! `RESCIND_GOLDEN_ADD=1` adds the descriptor set where it is missing; it is never rewritten.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join(name)
}

fn today() -> FileDescriptorSet {
    let include = folder("proto");
    let mut files: Vec<_> =
        fs::read_dir(include.join("rescind/v1")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut set = protox::compile(&files, [&include]).unwrap();
    set.file.iter_mut().for_each(|file| file.source_code_info = None);
    set
}

fn version_1() -> FileDescriptorSet {
    let path = folder("golden").join("descriptor_v1.bin");
    if !path.exists() && std::env::var_os("RESCIND_GOLDEN_ADD").is_some_and(|add| add == "1") {
        fs::write(&path, today().encode_to_vec()).unwrap();
    }
    let kept = fs::read(&path).unwrap_or_else(|error| panic!("{error}; RESCIND_GOLDEN_ADD=1 adds the file"));
    FileDescriptorSet::decode(&kept[..]).unwrap()
}

/// Everything that bytes depend on, by a name that is unique: one line per field and enum value.
fn contract(set: &FileDescriptorSet) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for file in &set.file {
        let package = file.package().to_owned();
        file.message_type.iter().for_each(|message| message_lines(&package, message, &mut lines));
        file.enum_type.iter().for_each(|kind| enum_lines(&package, kind, &mut lines));
    }
    lines
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut BTreeMap<String, String>) {
    let name = format!("{scope}.{}", message.name());
    lines.insert(name.clone(), "message".to_owned());
    for field in &message.field {
        let oneof =
            field.oneof_index.map(|at| message.oneof_decl[usize::try_from(at).unwrap()].name().to_owned());
        let shape = format!(
            "name {} type {:?} {} label {:?} oneof {} optional {}",
            field.name(),
            field.r#type(),
            field.type_name(),
            field.label(),
            oneof.unwrap_or_default(),
            field.proto3_optional(),
        );
        lines.insert(format!("{name} field {}", field.number()), shape);
    }
    message.nested_type.iter().for_each(|nested| message_lines(&name, nested, lines));
    message.enum_type.iter().for_each(|kind| enum_lines(&name, kind, lines));
}

fn enum_lines(scope: &str, kind: &EnumDescriptorProto, lines: &mut BTreeMap<String, String>) {
    let name = format!("{scope}.{}", kind.name());
    lines.insert(name.clone(), "enum".to_owned());
    for value in &kind.value {
        lines.insert(format!("{name} value {}", value.number()), value.name().to_owned());
    }
}

#[test]
fn nothing_of_version_1_was_removed_or_changed() {
    let (before, now) = (contract(&version_1()), contract(&today()));
    assert!(before.len() > 100, "the descriptor set is not the one of rescind.v1");
    for (place, shape) in before {
        assert_eq!(now.get(&place), Some(&shape), "{place}");
    }
}

#[test]
fn reserved_numbers_of_version_1_stay_unused_or_reserved() {
    // A number may leave `reserved` for a field: that is what it was kept for. It may not silently be forgotten.
    let ranges = |set: &FileDescriptorSet| {
        let mut ranges = BTreeMap::new();
        for message in set.file.iter().flat_map(|file| &file.message_type) {
            for range in &message.reserved_range {
                for number in range.start()..range.end() {
                    ranges.insert((message.name().to_owned(), number), ());
                }
            }
            for field in &message.field {
                ranges.insert((message.name().to_owned(), field.number()), ());
            }
        }
        ranges
    };
    let (before, now) = (ranges(&version_1()), ranges(&today()));
    for place in before.keys() {
        assert!(now.contains_key(place), "{place:?} is neither reserved nor a field");
    }
}

#[test]
fn every_message_and_field_is_documented() {
    let include = folder("proto");
    for file in fs::read_dir(include.join("rescind/v1")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut previous = "";
        for line in text.lines() {
            let code = line.trim();
            let declares = code.starts_with("message ") || code.starts_with("enum ") || code.ends_with(';');
            let free = ["syntax", "package", "import", "reserved"].iter().any(|word| code.starts_with(word));
            if declares && !free && !code.starts_with("//") {
                assert!(previous.starts_with("//"), "{}: `{code}` has no comment", path.display());
            }
            previous = code;
        }
    }
}
