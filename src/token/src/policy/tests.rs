//! Tests of the configuration.

use super::*;

fn input() -> IssuerPolicyInput {
    IssuerPolicyInput::new(
        "https://id.example",
        JwksSource::Url("https://id.example/jwks".to_owned()),
        &[Algorithm::Es256],
        &["api"],
    )
}

fn problems(issuers: Vec<IssuerPolicyInput>) -> Vec<PolicyProblem> {
    TrustConfig::try_from(TrustConfigInput { issuers }).unwrap_err().problems
}

fn paths(change: impl FnOnce(&mut IssuerPolicyInput)) -> Vec<String> {
    let mut policy = input();
    change(&mut policy);
    problems(vec![policy]).into_iter().map(|problem| problem.path).collect()
}

#[test]
fn reads_a_file_with_defaults() {
    let config: TrustConfig = toml::from_str(
        r#"
        [[issuers]]
        issuer = "https://id.example"
        jwks = { url = "https://id.example/jwks" }
        algorithms = ["RS256", "EdDSA"]
        audiences = ["api"]
        claims = { tenant = ["org"], roles = [["realm_access", "roles"]], subject = "oid" }

        [[issuers]]
        issuer = "http://localhost:8080"
        jwks = { file = "keys.json" }
        algorithms = ["ES256"]
        audiences = ["api"]
        typ = ["application/AT+jwt"]
        leeway_s = 5
        lifetime_max_s = 3600
        "#,
    )
    .unwrap();
    let [first, second] = config.issuers() else { panic!("two issuers") };
    assert_eq!(first.algorithms(), [Algorithm::Rs256, Algorithm::EdDsa]);
    assert!(first.accepts_typ("AT+JWT") && first.accepts_typ("application/jwt") && !first.accepts_typ("x"));
    assert_eq!((first.leeway(), first.lifetime_max()), (Duration::ZERO, None));
    assert_eq!(first.claims().tenant, [ClaimPath::new(["org"])]);
    assert_eq!(first.claims().subject.names(), ["oid"]);
    assert!(second.accepts_typ("at+jwt") && !second.accepts_typ("JWT"));
    assert_eq!(second.lifetime_max(), Some(Duration::from_secs(3600)));
    assert_eq!(config.issuer("http://localhost:8080"), Some(second));
    assert_eq!(config.issuer("http://localhost:8080/"), None);
}

#[test]
fn typ_prefix_only_without_another_slash() {
    let config = TrustConfig::try_from(TrustConfigInput { issuers: vec![input()] }).unwrap();
    let policy = &config.issuers()[0];
    assert!(!policy.accepts_typ("application/x/jwt"));
    assert!(!policy.accepts_typ("application/"));
    assert!(!policy.accepts_typ("applicatioñ/jwt"));
    assert!(!policy.accepts_typ(""));
}

#[test]
fn reports_every_mistake_at_once() {
    let mut bad = input();
    bad.jwks = Some(JwksSource::Url("http://id.example/jwks".to_owned()));
    bad.algorithms = vec!["HS256".into(), "none".into(), "RS512".into(), "ES256".into(), "ES256".into()];
    bad.audiences.clear();
    bad.leeway_s = 61;
    bad.lifetime_max_s = Some(0);
    let found = problems(vec![input(), bad]);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "issuers[1].issuer",
            "issuers[1].algorithms[0]",
            "issuers[1].algorithms[1]",
            "issuers[1].algorithms[2]",
            "issuers[1].algorithms[4]",
            "issuers[1].audiences",
            "issuers[1].leeway_s",
            "issuers[1].lifetime_max_s",
            "issuers[1].jwks.url",
        ]
    );
    let shown = TrustConfigError { problems: found }.to_string();
    assert!(shown.contains("9 mistake(s)") && shown.contains("`HS256` is symmetric"), "{shown}");
}

#[test]
fn serde_shows_all_mistakes() {
    let error = toml::from_str::<TrustConfig>("[[issuers]]\nissuer = \"\"\n").unwrap_err().to_string();
    for path in ["issuer`", "algorithms`", "audiences`", "jwks`"] {
        assert!(error.contains(path), "{path}: {error}");
    }
    assert!(toml::from_str::<TrustConfig>("").unwrap_err().to_string().contains("name at least one issuer"));
    assert!(toml::from_str::<TrustConfig>("[[issuers]]\nissuers = \"x\"\n").is_err());
}

#[test]
fn refuses_blank_and_negative() {
    assert_eq!(paths(|policy| policy.issuer = "a b".into()), ["issuers[0].issuer"]);
    assert_eq!(paths(|policy| policy.audiences.push(" ".into())), ["issuers[0].audiences[1]"]);
    assert_eq!(paths(|policy| policy.audiences.push("*".into())), ["issuers[0].audiences"]);
    assert_eq!(paths(|policy| policy.typ.clear()), ["issuers[0].typ"]);
    assert_eq!(paths(|policy| policy.leeway_s = -1), ["issuers[0].leeway_s"]);
    assert_eq!(paths(|policy| policy.jwks = None), ["issuers[0].jwks"]);
    assert_eq!(
        paths(|policy| policy.jwks = Some(JwksSource::File(PathBuf::new()))),
        ["issuers[0].jwks.file"]
    );
    assert_eq!(paths(|policy| policy.claims.subject = ClaimPath(vec![])), ["issuers[0].claims.subject"]);
    assert_eq!(
        paths(|policy| policy.claims.roles.push(ClaimPath::new(["a", ""]))),
        ["issuers[0].claims.roles[2]"]
    );
    assert_eq!(
        paths(|policy| policy.claims.selectors.push(String::new())),
        ["issuers[0].claims.selectors[0]"]
    );
}

#[test]
fn url_must_be_https_or_loopback() {
    for good in [
        "https://id.example/jwks?p=1",
        "http://localhost:1/jwks",
        "http://127.0.0.2/jwks",
        "http://[::1]:8080/",
    ] {
        assert!(check::jwks_url(good).is_ok(), "{good}");
    }
    for bad in [
        "jwks",
        "https://",
        "ftp://id.example/",
        "file:///etc/keys",
        "http://id.example/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "https://user@id.example/",
        "https://:pw@id.example/",
        "https://id.example/#x",
    ] {
        assert!(check::jwks_url(bad).is_err(), "{bad}");
    }
}
