use super::{Figure, Sheet, short, summary};
use crate::measure::Spread;

#[test]
fn numbers_stay_short() {
    let shown = [0.0, 0.0123, 0.5, 12.34, 149.6, 1_234_567.8, f64::NAN].map(short);
    assert_eq!(shown, ["0", "0.0123", "0.5", "12.3", "150", "1,234,568", "-"]);
}

#[test]
fn a_figure_is_judged_by_its_target() {
    let spread = Spread { p10: 35.0, p50: 40.0, p99: 60.0, max: 90.0, samples: 10 };
    assert_eq!(Figure::value("", "ms", 50.0).reached(), None);
    assert_eq!(Figure::value("", "ms", 50.0).at_most(50.0).reached(), Some(true));
    assert_eq!(Figure::spread("", "ms", spread).at_most(50.0).reached(), Some(true));
    assert_eq!(Figure::tail("", "ms", spread).at_most(50.0).reached(), Some(false));
    assert_eq!(Figure::value("", "x", 199.0).at_least(200.0).reached(), Some(false));
    assert_eq!(Figure::value("", "x", f64::NAN).at_most(1.0).reached(), Some(false));
}

#[test]
fn the_summary_counts_what_has_a_target() {
    let mut sheet = Sheet::new("decide");
    sheet.add(Figure::value("fast", "ns", 100.0).at_most(150.0));
    sheet.add(Figure::value("slow", "ns", 400.0).at_most(300.0));
    sheet.add(Figure::value("other", "ns", 1.0));
    let text = summary(&[sheet.clone(), sheet]);
    assert!(text.contains("decide: fast") && text.contains("missed") && !text.contains("other"), "{text}");
    assert!(text.contains("2 of 4 targets reached"), "{text}");
}
