//! The first sight of a token, beside nothing but the check of its signature.

use std::hint::black_box;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rescind_agent::Query;
use rescind_token::{Algorithm, Verifier};

use super::State;
use super::tokens::Tokens;
use super::whole::agent;
use crate::Outcome;
use crate::arguments::Scale;
use crate::data::{ACTION, now_s};
use crate::measure::{Samples, Stopwatch};
use crate::report::{Figure, Sheet};

/// Limit: the first sight of a token, in times of the bare signature check.
const COLD_RATIO_MAX: f64 = 1.3;

/// First number of these tokens: far from the live ones.
const FIRST: u64 = 10_000_000;

pub(super) fn run(state: &State, scale: Scale, sheet: &mut Sheet) -> Outcome {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let signer = Tokens::new(algorithm)?;
        let tokens = signer.sign_all(FIRST, scale.pick(3000, 40), state.users)?;
        let key = BareKey::new(&signer)?;
        let verifier = Verifier::new(signer.trust.clone(), signer.keys.clone());
        let agent = agent(state.published.load_full(), &signer);
        let now = now_s();
        let (mut bare, mut verified, mut first) =
            (Samples::default(), Samples::default(), Samples::default());
        let (mut of_verified, mut of_first) = (Samples::default(), Samples::default());
        for token in &tokens {
            let (message, signature) = token.rsplit_once('.').ok_or("a token without a signature")?;
            let signature = URL_SAFE_NO_PAD.decode(signature)?;
            let watch = Stopwatch::start();
            key.verify(message.as_bytes(), &signature)?;
            let bare_us = watch.micros();
            let watch = Stopwatch::start();
            black_box(verifier.verify(token, now)?);
            let verified_us = watch.micros();
            let query = Query { token, action: ACTION, resource: "/orders/1/items", tenant: None };
            let watch = Stopwatch::start();
            let decision = black_box(agent.decide(&query));
            let first_us = watch.micros();
            if decision.reason.code().starts_with("token.") {
                return Err(format!("a good token was refused: {}", decision.reason).into());
            }
            bare.push(bare_us);
            verified.push(verified_us);
            first.push(first_us);
            of_verified.push(verified_us / bare_us);
            of_first.push(first_us / bare_us);
        }
        let name = algorithm.name();
        sheet.add(Figure::spread(format!("{name}: bare signature check"), "us", bare.spread()));
        sheet.add(Figure::spread(format!("{name}: verification of a token"), "us", verified.spread()));
        sheet.add(Figure::spread(format!("{name}: whole check of a token never seen"), "us", first.spread()));
        sheet.add(Figure::value("  verification in times of the bare check", "x", of_verified.p50()));
        sheet.add(
            Figure::value("  whole check in times of the bare check", "x", of_first.p50())
                .at_most(COLD_RATIO_MAX),
        );
    }
    sheet.note(
        "the bare check has its key and signature decoded, and parses the key as jsonwebtoken's backend does",
    );
    Ok(())
}

/// A public key of aws-lc in the form that jsonwebtoken hands over.
enum BareKey {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Ec(UnparsedPublicKey<Vec<u8>>),
    Ed(UnparsedPublicKey<Vec<u8>>),
}

impl BareKey {
    fn new(signer: &Tokens) -> Outcome<Self> {
        let jwk = signer.jwk()?;
        let member = |name: &str| -> Outcome<Vec<u8>> {
            let text =
                jwk.get(name).and_then(|value| value.as_str()).ok_or("a member of the key is missing")?;
            Ok(URL_SAFE_NO_PAD.decode(text)?)
        };
        Ok(match signer.algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Self::Rsa(RsaPublicKeyComponents { n: member("n")?, e: member("e")? })
            }
            Algorithm::Es256 => {
                // Spec: SEC 1 section 2.3.3: one byte that says "uncompressed", then both coordinates.
                let point = [vec![4], member("x")?, member("y")?].concat();
                Self::Ec(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
            }
            Algorithm::EdDsa => Self::Ed(UnparsedPublicKey::new(&ED25519, member("x")?)),
        })
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Outcome {
        let sound = match self {
            Self::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Self::Ec(key) | Self::Ed(key) => key.verify(message, signature),
        };
        sound.map_err(|_| "a good signature was refused".into())
    }
}
