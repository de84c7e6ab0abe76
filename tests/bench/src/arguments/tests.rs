use super::{Asked, Bench, Scale, read};

fn asked(line: &str) -> Result<Option<Asked>, String> {
    read(line.split_whitespace())
}

#[test]
fn no_name_means_all_of_them() {
    let all = Asked { benches: Bench::ALL.to_vec(), scale: Scale::Full };
    assert_eq!(asked(""), Ok(Some(all)));
}

#[test]
fn names_keep_their_order_and_count_once() {
    let some = Asked { benches: vec![Bench::Apply, Bench::Decide], scale: Scale::Quick };
    assert_eq!(asked("apply --quick decide apply"), Ok(Some(some)));
}

#[test]
fn an_unknown_name_is_named() {
    assert!(asked("decode").is_err_and(|text| text.contains("`decode`")));
    assert_eq!(asked("decide --help"), Ok(None));
}
