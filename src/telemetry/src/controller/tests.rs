use super::*;

#[test]
fn every_metric_is_in_the_text_with_unit_and_total() {
    let metrics = ControllerMetrics::new();
    metrics.lane("deny").committed(3, Duration::from_millis(4), 17);
    metrics.directives("accepted", 3);
    metrics.invariants().note("S2");
    metrics.set_ready(true);
    let text = metrics.encode();
    for line in [
        "rescind_controller_entries_total{lane=\"deny\"} 1",
        "rescind_controller_changes_total{lane=\"deny\"} 3",
        "rescind_controller_head_revision{lane=\"deny\"} 17",
        "rescind_controller_commit_seconds_count{lane=\"deny\"} 1",
        "rescind_controller_directives_total{outcome=\"accepted\"} 3",
        "rescind_invariant_violations_total{id=\"S2\"} 1",
        "rescind_controller_ready 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
    }
    assert_eq!(metrics.invariants().count("S2"), 1);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn names_are_unique_and_lower_case() {
    let text = ControllerMetrics::new().encode();
    let helped: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let mut unique = helped.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), helped.len());
    assert!(helped.iter().all(|line| line.starts_with("rescind_")));
}
