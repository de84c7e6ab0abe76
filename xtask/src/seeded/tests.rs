use super::*;

#[test]
fn a_line_of_the_simulator_is_a_row() {
    let line = r#"{"bug":"skip_gap","breaks":"S3: skips","seeds":7,"found_by":"S9","text":"x"}"#;
    let expected =
        Row { bug: "skip_gap".into(), breaks: "S3: skips".into(), found: "simulator: S9, 7 seeds".into() };
    assert_eq!(row(line), Some(expected));
    let line = r#"{"bug":"skip_gap","breaks":"S3: skips","seeds":null,"found_by":null,"text":null}"#;
    assert_eq!(row(line).map(|row| row.found), Some(String::new()));
    assert_eq!(row("warning: x"), None);
}

#[test]
fn failures_are_counted_from_the_summary() {
    let failed = "running 3 tests\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n";
    assert_eq!(failures(failed), Some(2));
    assert_eq!(failures("test result: ok. 3 passed; 0 failed; 0 ignored\n"), None);
}

#[test]
fn the_table_replaces_the_one_before_and_nothing_else() {
    let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
    let rows = [Row { bug: "x".into(), breaks: "S1".into(), found: String::new() }];
    let text = insert(&page, &table(&rows)).unwrap();
    assert!(text.starts_with("a\n") && text.ends_with("\nb\n") && !text.contains("old"));
    assert!(text.contains("| `x` | S1 | **nothing** |"));
    assert_eq!(insert("nothing", "t"), None);
}
