//! Strict verification of JWT access tokens, and the keys to do it with.
//!
//! A token proves who is calling; it never grants. This crate answers one question, *did an issuer that the
//! configuration names sign exactly this, for us, and is it inside its dates?*, and hands out the claims a
//! decision needs as plain types of its own. It knows nothing of records, decisions or the bus.
//!
//! - [`TrustConfig`]: what each issuer may do; every mistake in it is reported at once.
//! - [`KeySet`]: a JWKS document after our own policing of its keys.
//! - [`KeyDirectory`] and [`KeyRefresher`]: lock-free reads of the keys; one task that fetches them.
//! - [`Verifier`]: synchronous, no I/O, no lock, no clock: the time is an argument.
//! - [`VerifiedClaims`]: the result. [`TokenError`]: every way a token can be wrong, never with token text.
//! - [`fingerprints`]: names a token that carries no `jti`.
//!
//! Deliberately absent: symmetric algorithms, keys named by the token (`jku`, `jwk`, `x5u`, `x5c`), tokens
//! without `exp`, and fetching anything while a request waits.

mod algorithm;
mod claims;
mod error;
mod fingerprint;
#[cfg(any(test, feature = "issue"))]
mod issue;
mod jwks;
mod policy;
mod source;
mod strict_json;
mod verify;

pub use algorithm::{Algorithm, AlgorithmUnknownError};
pub use claims::{
    ACT_DEPTH_MAX, ActorClaim, CLAIM_ITEMS_MAX, CLAIM_TEXT_BYTES_MAX, ClaimHints, SCOPE_BYTES_MAX,
    SelectorClaim, VerifiedClaims,
};
pub use error::{TokenCode, TokenError};
pub use fingerprint::{Fingerprint, Fingerprints, fingerprints};
#[cfg(any(test, feature = "issue"))]
pub use issue::{IssueError, Issuer, SignOptions};
pub use jwks::{
    JWKS_BYTES_MAX, JWKS_KEYS_MAX, JwksError, KID_BYTES_MAX, KeyFaultError, KeySet, RSA_BITS_MAX,
    RSA_BITS_MIN, RSA_EXPONENT_MIN, SkipReason, SkippedKey,
};
pub use policy::{
    ClaimNames, ClaimPath, IssuerPolicy, IssuerPolicyInput, JwksSource, LEEWAY_S_MAX, LIFETIME_S_MAX,
    PolicyProblem, TrustConfig, TrustConfigError, TrustConfigInput,
};
pub use source::{
    FetchError, KeyDirectory, KeyRefresher, RefreshOptions, RefreshOutcome, RefreshReport, RefreshSetupError,
    SourceHealth, UnknownIssuerError,
};
pub use verify::{HEADER_BYTES_MAX, TOKEN_BYTES_MAX, Verifier};
