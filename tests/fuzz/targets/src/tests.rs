//! Every target with the golden vectors and what seeded changes make of them.

use std::fs;
use std::path::Path;

use super::*;

/// Changes of each seed text of a target.
const CHANGES: u64 = 60;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// One change: a bit, a byte, a cut, a repetition, or a piece of another text.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.byte(),
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..(at + self.below(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let from = self.below(other.len());
                let piece = other[from..(from + self.below(40)).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.insert(at, self.byte()),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/golden");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    names.retain(|path| {
        path.extension().is_some_and(|end| end == "bin") && !path.ends_with("descriptor_v1.bin")
    });
    names.sort();
    let mut seeds: Vec<_> = names.iter().map(|path| fs::read(path).unwrap()).collect();
    let texts = [
        "all",
        "user:https://idp.example#alice",
        "token:sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    ];
    seeds.extend(texts.map(|text| text.as_bytes().to_vec()));
    seeds.push(realm::PIN.to_json().into_bytes());
    seeds.push(realm::TRUST.to_json().into_bytes());
    seeds
}

fn feed(target: fn(&[u8]), seed: u64) {
    let (seeds, mut rng) = (seeds(), Rng(seed));
    target(&[]);
    for bytes in &seeds {
        target(bytes);
        for _ in 0..CHANGES {
            let mut changed = bytes.clone();
            for _ in 0..=rng.below(4) {
                let other = rng.below(seeds.len());
                rng.change(&mut changed, &seeds[other]);
            }
            target(&changed);
        }
    }
}

#[test]
fn s7_no_decoder_panics_and_what_is_read_is_written_the_same() {
    for ((_, target), seed) in TARGETS.into_iter().zip(1..) {
        feed(target, seed);
    }
}

#[test]
fn every_target_has_its_fuzz_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut programs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    programs.sort();
    names.sort();
    assert_eq!(programs, names);
}
