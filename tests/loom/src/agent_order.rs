//! The models follow the agent's source by hand; this notices when that moves away.

use std::fs;
use std::path::Path;

/// The body of a function of `shared.rs`, up to the next one.
fn body<'a>(source: &'a str, name: &str) -> &'a str {
    let (_, from) = source.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("no `fn {name}`"));
    from.split_once("\n    }\n").unwrap_or_else(|| panic!("`fn {name}` does not end")).0
}

fn at(body: &str, what: &str) -> usize {
    let mut found = body.match_indices(what);
    let (at, _) = found.next().unwrap_or_else(|| panic!("no `{what}` in `{body}`"));
    assert_eq!(found.next(), None, "`{what}` twice in `{body}`");
    at
}

#[test]
fn the_agent_has_the_order_that_is_modelled() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agents/agent/src/shared.rs");
    let source = fs::read_to_string(path).unwrap();
    let publish = body(&source, "publish");
    assert!(at(publish, "self.published.store(") < at(publish, "self.heads.send_replace("), "S10");
    // State and lease come out of one load.
    at(body(&source, "decide"), "self.published.load()");
    at(body(&source, "decide_verified"), "self.published.load()");
    let verify = body(&source, "verify");
    assert!(at(verify, "self.key_generation.load(") < at(verify, "self.verify_new("), "generation first");
}
