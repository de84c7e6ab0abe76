use super::*;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_summary_of_nextest_is_kept_with_its_failures() {
    let text = "    PASS [0.1s] a\n\u{1b}[1m     Summary\u{1b}[0m [   1.2s] 2 tests run: 1 passed, 1 failed\n        FAIL b\n";
    let kept = of(&lines(text));
    assert_eq!(kept, ["     Summary [   1.2s] 2 tests run: 1 passed, 1 failed", "        FAIL b"]);
}

#[test]
fn the_results_of_cargo_test_are_added_up() {
    let text = "test a ... ok\ntest b ... FAILED\ntest result: FAILED. 3 passed; 1 failed; 0 ignored\n\
                test result: ok. 4 passed; 0 failed; 0 ignored\n";
    assert_eq!(of(&lines(text)), ["test b ... FAILED", "2 test programs: 7 passed, 1 failed"]);
}

#[test]
fn a_program_without_tests_has_no_closing_lines() {
    assert!(of(&lines("Compiling x\nwarning: y\n")).is_empty());
}
