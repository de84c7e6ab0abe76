use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn fuzz_takes_targets_and_seconds_in_any_order() {
    assert_eq!(read_fuzz(&[]), Ok((Vec::new(), FUZZ_SECONDS.to_owned())));
    let wanted = Ok((words("report jwt"), "5".to_owned()));
    assert_eq!(read_fuzz(&words("report --seconds 5 jwt")), wanted);
}

#[test]
fn fuzz_refuses_what_it_does_not_know() {
    for options in ["--seconds", "--seconds soon", "--forever"] {
        assert!(read_fuzz(&words(options)).is_err(), "{options}");
    }
}
