//! The description that is checked in is the one that the code has.

use std::path::Path;

#[test]
fn the_description_that_is_checked_in_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/openapi/controller.json");
    let generated = rescind_controller::openapi_json();
    if std::env::var_os("RESCIND_WRITE_SCHEMAS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == generated,
        "schemas/openapi/controller.json is stale; write it again with RESCIND_WRITE_SCHEMAS=1 and this test"
    );
}

#[test]
fn every_route_is_described() {
    let text = rescind_controller::openapi_json();
    for path in [
        "/v1/directives",
        "/v1/records",
        "/v1/records/{id}",
        "/v1/records/{id}/board",
        "/v1/entitlements",
        "/v1/entitlements/{id}",
        "/v1/agents",
        "/v1/board",
        "/v1/position",
        "/healthz",
        "/readyz",
    ] {
        assert!(text.contains(&format!("\"{path}\"")), "{path} is missing");
    }
    assert!(text.contains("\"bearer\""));
}
