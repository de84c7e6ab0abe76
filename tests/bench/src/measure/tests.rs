use super::{Case, Samples, alternate};

fn samples(values: impl IntoIterator<Item = u32>) -> Samples {
    let mut samples = Samples::default();
    values.into_iter().for_each(|value| samples.push(f64::from(value)));
    samples
}

#[test]
fn quantiles_are_samples() {
    let spread = samples((1..=200).rev()).spread();
    assert_eq!((spread.p10, spread.p50, spread.p99, spread.max), (20.0, 100.0, 198.0, 200.0));
    assert_eq!(spread.samples, 200);
    assert!(samples([]).p50().is_nan());
}

#[test]
fn cases_run_as_often_as_they_are_told() {
    let (mut light, mut heavy) = (0_u64, 0_u64);
    let mut a = Case::new(10, |times| {
        light += u64::from(times);
        20
    });
    let mut b = Case::single(|| heavy += 1);
    alternate(&mut [&mut a, &mut b], 3, 5);
    assert_eq!((a.spread().samples, b.spread().samples), (15, 15));
    assert_eq!(a.spread().max, 2.0);
    assert!(a.ratio_to(&b) > 0.0);
    drop((a, b));
    assert!(light >= 150 && heavy >= 15);
}
