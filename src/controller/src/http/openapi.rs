//! The OpenAPI description, generated from the handlers; checked in at `schemas/openapi/controller.json`.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{read, roles, write};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "rescind controller",
        version = "1",
        description = "Takes access away from tokens, sessions and identities, everywhere and at once; says where it is enforced.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        write::directives,
        read::records,
        read::record,
        read::board,
        read::entitlements,
        read::entitlement,
        read::agents,
        read::overview,
        read::position,
        roles::status,
        roles::take_over,
        roles::plan,
        roles::apply,
        read::healthz,
        read::readyz,
    ),
    modifiers(&Bearer)
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("token of an emitter; the controller knows its SHA-256"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The description as JSON text that ends in a line feed: the contents of `schemas/openapi/controller.json`.
#[must_use]
pub fn openapi_json() -> String {
    // Why empty on an error: a description that cannot be written fails the test that compares it.
    Description::openapi().to_pretty_json().map(|text| text + "\n").unwrap_or_default()
}
