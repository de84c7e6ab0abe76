//! Every benchmark that needs no other program still runs and writes its figures.

use std::process::Command;

#[test]
fn quick_benchmarks_print_a_table_and_write_their_files() {
    let program = env!("CARGO_BIN_EXE_rescind-bench");
    let output = Command::new(program).args(["--quick", "memory", "apply"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["== memory", "exact revocation", "== apply", "one change visible", "targets reached"] {
        assert!(text.contains(line), "no `{line}` in:\n{text}");
    }
    let folder = std::path::Path::new(program).ancestors().nth(2).unwrap().join("bench");
    for bench in ["memory", "apply"] {
        let file = std::fs::read_to_string(folder.join(format!("{bench}.json"))).unwrap();
        let document: serde_json::Value = serde_json::from_str(&file).unwrap();
        assert_eq!(document["scale"], "quick", "{bench}");
        assert!(document["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{bench}");
        assert!(document["figures"].as_array().is_some_and(|figures| !figures.is_empty()), "{bench}");
    }
}

#[test]
fn an_unknown_name_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_rescind-bench")).arg("decode").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`decode`"));
}
