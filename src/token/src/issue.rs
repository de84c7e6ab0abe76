//! Signing, for the demo, benches and tests: an issuer with real keys, so that nothing has to be faked.
//!
//! Behind the feature `issue`. Private keys live in memory only and are never shown or exported.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::algorithm::Algorithm;
use crate::jwks::{JwksError, KeySet};

/// A token could not be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The cryptographic library failed to make a key.
    #[error("could not generate a key")]
    KeyGeneration,
    /// The cryptographic library failed to sign.
    #[error("could not sign")]
    Signing,
    /// No key has the wanted `kid` and algorithm.
    #[error("issuer has no such key")]
    KeyNotFound,
    /// The claims are no JSON object.
    #[error("claims are not a json object")]
    ClaimsNotObject,
}

/// How a token is signed; the default is `at+jwt` with the newest key.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// `typ` of the header.
    pub typ: String,
    /// The key by name; `None` takes the newest that fits.
    pub kid: Option<String>,
    /// The algorithm; `None` takes that of the key.
    pub algorithm: Option<Algorithm>,
}

impl Default for SignOptions {
    fn default() -> Self {
        Self { typ: "at+jwt".to_owned(), kid: None, algorithm: None }
    }
}

/// An issuer of tokens with keys of its own.
pub struct Issuer {
    url: String,
    keys: Vec<SigningKey>,
}

struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kids: Vec<_> = self.keys.iter().map(|key| (&key.kid, key.algorithm)).collect();
        f.debug_struct("Issuer").field("url", &self.url).field("keys", &kids).finish()
    }
}

impl Issuer {
    /// An issuer with one fresh key for each algorithm. RSA keys have 2048 bits and take a moment.
    ///
    /// # Errors
    /// [`IssueError::KeyGeneration`] if the library has no randomness.
    pub fn generate(url: impl Into<String>, algorithms: &[Algorithm]) -> Result<Self, IssueError> {
        let mut issuer = Self { url: url.into(), keys: Vec::new() };
        for &algorithm in algorithms {
            issuer.add_key(algorithm)?;
        }
        Ok(issuer)
    }

    /// Adds a fresh key, which signs from now on, and returns its `kid`: its own thumbprint.
    ///
    /// # Errors
    /// [`IssueError::KeyGeneration`] if the library has no randomness.
    pub fn add_key(&mut self, algorithm: Algorithm) -> Result<&str, IssueError> {
        let pair = Pair::generate(algorithm)?;
        let kid = thumbprint(&pair);
        self.keys.push(SigningKey { kid, algorithm, pair });
        self.keys.last().map(|key| key.kid.as_str()).ok_or(IssueError::KeyGeneration)
    }

    /// Removes a key from the key set and from signing.
    ///
    /// # Errors
    /// [`IssueError::KeyNotFound`] if there is none of this name.
    pub fn remove_key(&mut self, kid: &str) -> Result<(), IssueError> {
        let index = self.keys.iter().position(|key| key.kid == kid).ok_or(IssueError::KeyNotFound)?;
        self.keys.remove(index);
        Ok(())
    }

    /// The issuer's `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The names of the keys, oldest first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// The JWKS document with all public keys.
    #[must_use]
    pub fn jwks_json(&self) -> String {
        let keys: Vec<Value> = self
            .keys
            .iter()
            .map(|key| {
                let mut jwk = public_jwk(&key.pair);
                if let Value::Object(members) = &mut jwk {
                    members.insert("kid".to_owned(), json!(key.kid));
                    members.insert("use".to_owned(), json!("sig"));
                    members.insert("alg".to_owned(), json!(key.algorithm.name()));
                }
                jwk
            })
            .collect();
        json!({ "keys": keys }).to_string()
    }

    /// The public keys as a verifier takes them.
    ///
    /// # Errors
    /// [`JwksError::NoUsableKey`] if all keys were removed.
    pub fn key_set(&self) -> Result<KeySet, JwksError> {
        KeySet::parse(self.jwks_json().as_bytes())
    }

    /// Signs claims into a compact token; adds `iss` where it is missing, and nothing else.
    ///
    /// # Errors
    /// [`IssueError::ClaimsNotObject`], [`IssueError::KeyNotFound`], [`IssueError::Signing`].
    pub fn sign(&self, claims: &Value, options: &SignOptions) -> Result<String, IssueError> {
        let key = self.signing_key(options)?;
        let mut claims = claims.as_object().ok_or(IssueError::ClaimsNotObject)?.clone();
        claims.entry("iss").or_insert_with(|| json!(self.url));
        let header = json!({ "alg": key.algorithm.name(), "typ": options.typ, "kid": key.kid }).to_string();
        key.sign_parts(&header, Value::Object(claims).to_string().as_bytes())
    }

    fn signing_key(&self, options: &SignOptions) -> Result<&SigningKey, IssueError> {
        let fits = |key: &&SigningKey| {
            options.kid.as_ref().is_none_or(|kid| *kid == key.kid)
                && options.algorithm.is_none_or(|algorithm| algorithm == key.algorithm)
        };
        self.keys.iter().rev().find(fits).ok_or(IssueError::KeyNotFound)
    }

    /// Signs any header and payload whatever they say; for forgeries in tests.
    #[cfg(test)]
    pub(crate) fn sign_raw(&self, algorithm: Algorithm, header: &str, payload: &[u8]) -> String {
        let options = SignOptions { algorithm: Some(algorithm), ..SignOptions::default() };
        self.signing_key(&options).and_then(|key| key.sign_parts(header, payload)).unwrap()
    }
}

impl SigningKey {
    fn sign_parts(&self, header: &str, payload: &[u8]) -> Result<String, IssueError> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(self.algorithm, signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Pair {
    fn generate(algorithm: Algorithm) -> Result<Self, IssueError> {
        let failed = |_| IssueError::KeyGeneration;
        Ok(match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?))
            }
            Algorithm::Es256 => Self::P256(Box::new(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?,
            )),
            Algorithm::EdDsa => Self::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(failed)?)),
        })
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, IssueError> {
        match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding =
                    if algorithm == Algorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| IssueError::Signing)?;
                Ok(signature)
            }
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| IssueError::Signing)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// The members that RFC 7638 needs; `serde_json` keeps them in the order of their names.
fn public_jwk(pair: &Pair) -> Value {
    match pair {
        Pair::Rsa(pair) => {
            let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
            json!({ "e": URL_SAFE_NO_PAD.encode(public.e), "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(public.n) })
        }
        Pair::P256(pair) => {
            // Spec: SEC 1 section 2.3.3: one byte that says "uncompressed", then both coordinates.
            let point = pair.public_key().as_ref();
            let coordinates = point.split_first().map_or(point, |(_, coordinates)| coordinates);
            let (x, y) = coordinates.split_at_checked(32).unwrap_or_default();
            json!({
                "crv": "P-256", "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            })
        }
        Pair::Ed25519(pair) => {
            json!({ "crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()) })
        }
    }
}

/// Spec: RFC 7638 section 3, RFC 8037 section 2: the required members, sorted, without white space.
fn thumbprint(pair: &Pair) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, public_jwk(pair).to_string().as_bytes()))
}
