use super::*;

#[test]
fn formats_have_words() {
    assert_eq!("human".parse(), Ok(LogFormat::Human));
    assert_eq!("json".parse(), Ok(LogFormat::Json));
    let error = "xml".parse::<LogFormat>().unwrap_err();
    assert_eq!(error.to_string(), "`xml` is no log format; use `human` or `json`");
}

#[test]
fn a_wrong_filter_is_named_and_a_second_set_up_is_refused() {
    let error = init_tracing(LogFormat::Human, "rescind=loud").unwrap_err();
    assert!(error.to_string().starts_with("`rescind=loud` is no log filter"), "{error}");
    init_tracing(LogFormat::Json, "warn").unwrap();
    assert!(matches!(init_tracing(LogFormat::Human, "warn"), Err(TracingError::Twice)));
}
