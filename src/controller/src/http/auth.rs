//! Who asks: bearer tokens, known only by their SHA-256.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use rescind_core::controller::rights::Rights;
use rescind_core::ids::EmitterId;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Api;
use super::errors::ApiError;
use crate::config::EmitterConfig;

/// Limit: bytes of a token; what `rescind init` makes has some 50.
const TOKEN_BYTES_MAX: usize = 4096;

/// Everybody who may use the API.
#[derive(Debug)]
pub(crate) struct Emitters(Vec<EmitterConfig>);

/// An emitter that authenticated.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) emitter: EmitterId,
    pub(crate) rights: Rights,
}

impl Emitters {
    pub(crate) const fn new(emitters: Vec<EmitterConfig>) -> Self {
        Self(emitters)
    }

    /// Compares with every emitter, in constant time: how long it takes says nothing about any of them.
    fn find(&self, token: &[u8]) -> Option<Caller> {
        let sha256: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for emitter in &self.0 {
            if bool::from(emitter.token_sha256.ct_eq(&sha256)) {
                found = Some(Caller { emitter: emitter.name.clone(), rights: emitter.rights });
            }
        }
        found
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let refuse = |message| ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", message);
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refuse(
                "send one header `Authorization: Bearer <token>` with the token of an emitter",
            ));
        };
        let token = value.as_bytes().split_at_checked(7).filter(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX
        });
        let Some((_, token)) = token else {
            return Err(refuse("the header must be `Authorization: Bearer <token>`"));
        };
        self.find(token.trim_ascii()).ok_or_else(|| {
            refuse("the token belongs to no emitter; see `[[emitters]]` of the controller's configuration")
        })
    }
}

/// Lets only emitters pass; tells the handlers which one.
pub(super) async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match api.emitters.authenticate(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}
