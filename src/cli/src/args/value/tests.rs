use super::*;

#[test]
fn durations_have_a_unit() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
    assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
    for wrong in
        ["", "10", "s", "-1s", "1.5s", "10 s", "99999999999999999999s", "4000d", "99999999999999999d", "é"]
    {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_target_in_the_place_of_a_duration_gets_advice() {
    let error = duration("user:u1").unwrap_err();
    assert!(error.to_string().contains("target goes before"), "{error}");
}

#[test]
fn moments_are_now_unix_rfc3339_or_relative() {
    assert_eq!("now".parse(), Ok(Moment::Now));
    assert_eq!("1767225600".parse(), Ok(Moment::At(1_767_225_600)));
    assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Moment::At(1_767_225_600)));
    assert_eq!("2026-01-01T01:00:00.9+01:00".parse(), Ok(Moment::At(1_767_225_600)));
    assert_eq!("+8h".parse(), Ok(Moment::FromNow(28_800)));
    assert_eq!("-10m".parse(), Ok(Moment::FromNow(-600)));
    for wrong in ["", "later", "2026-01-01", "+", "-5", "1767225600000", "01/02/2026"] {
        assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
    }
}

#[test]
fn a_cutoff_of_now_is_left_to_the_controllers_clock() {
    assert_eq!(Moment::Now.cutoff(5), serde_json::json!("now"));
    assert_eq!(Moment::FromNow(-2).cutoff(5), serde_json::json!(3));
}

#[test]
fn emitters_have_name_words_and_rung() {
    let hr: EmitterSpec = "hr:disable,reinstate:5".parse().unwrap();
    assert_eq!((hr.name.as_str(), hr.words(), hr.rung_max), ("hr", vec!["disable", "reinstate"], 5));
    let all: EmitterSpec = "ir:all:16".parse().unwrap();
    assert_eq!(all.words().len(), Word::ALL.len());
    for wrong in
        ["hr", "hr:disable", "hr:disable:0", "hr:disable:17", "hr:fire:5", "hr::5", ":kill:5", "a b:kill:5"]
    {
        assert!(wrong.parse::<EmitterSpec>().is_err(), "{wrong}");
    }
}

#[test]
fn agents_have_an_id_for_subjects_and_a_service() {
    let agent: AgentSpec = "payments-1:payments".parse().unwrap();
    assert_eq!((agent.id.as_str(), agent.service.as_str()), ("payments-1", "payments"));
    for wrong in ["payments", ":payments", "a:", "a.b:payments", "a*:payments", "a/b:payments"] {
        assert!(wrong.parse::<AgentSpec>().is_err(), "{wrong}");
    }
}
