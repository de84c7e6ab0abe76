use super::*;

#[test]
fn percentiles_are_by_nearest_rank() {
    let mut timeline = Timeline::new(Screen::new(true));
    assert_eq!(timeline.spread(), Spread::default());
    for n in (1..=200).rev() {
        timeline.sample(Duration::from_millis(n));
    }
    let expected = Spread { p50: 100.0, p99: 198.0, max: 200.0, samples: 200 };
    assert_eq!(timeline.spread(), expected);
}
