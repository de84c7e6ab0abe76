//! The file as serde reads it: nothing is checked here but its shape.

use std::path::PathBuf;

use rescind_token::{ClaimNames, IssuerPolicyInput, JwksSource};
use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    pub(super) agent_id: String,
    pub(super) service: String,
    pub(super) realm_file: PathBuf,
    pub(super) trust_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) store_dir: Option<PathBuf>,
    pub(super) stale: Option<String>,
    pub(super) stale_actions: Vec<StaleAction>,
    pub(super) nats: Nats,
    pub(super) direct: Option<Direct>,
    pub(super) issuers: Vec<Issuer>,
    pub(super) token_cache_slots: Option<usize>,
    pub(super) report_every_ms: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaleAction {
    pub(super) action: String,
    pub(super) policy: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Nats {
    pub(super) url: Option<String>,
    pub(super) urls: Vec<String>,
    pub(super) nkey_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) client_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Direct {
    pub(super) url: Option<String>,
    pub(super) urls: Vec<String>,
    pub(super) ca_file: PathBuf,
    pub(super) server_name: Option<String>,
}

/// [`IssuerPolicyInput`] with a shorter way to write `jwks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    #[serde(default)]
    issuer: String,
    jwks: Option<Jwks>,
    #[serde(default)]
    algorithms: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
    typ: Option<Vec<String>>,
    #[serde(default)]
    leeway_s: i64,
    lifetime_max_s: Option<i64>,
    #[serde(default)]
    claims: ClaimNames,
}

/// `"https://..."`, `"http://..."`, a path, or the table form.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Jwks {
    Text(String),
    Table(JwksSource),
}

impl From<Issuer> for IssuerPolicyInput {
    fn from(issuer: Issuer) -> Self {
        let jwks = issuer.jwks.map(|jwks| match jwks {
            Jwks::Text(text) if text.starts_with("https://") || text.starts_with("http://") => {
                JwksSource::Url(text)
            }
            Jwks::Text(text) => JwksSource::File(text.into()),
            Jwks::Table(source) => source,
        });
        let mut input = Self::new(&issuer.issuer, JwksSource::File(PathBuf::new()), &[], &[]);
        input.jwks = jwks;
        input.algorithms = issuer.algorithms;
        input.audiences = issuer.audiences;
        input.typ = issuer.typ.unwrap_or(input.typ);
        input.leeway_s = issuer.leeway_s;
        input.lifetime_max_s = issuer.lifetime_max_s;
        input.claims = issuer.claims;
        input
    }
}
