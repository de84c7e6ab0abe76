use super::*;

fn places(here: PathBuf) -> Places {
    Places { variable: None, here, home: None }
}

fn realm(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cli.toml"), text).unwrap();
    fs::create_dir_all(dir.path().join("secrets/tokens")).unwrap();
    for name in ["ir", "hr"] {
        fs::write(dir.path().join(format!("secrets/tokens/{name}.token")), format!("token-of-{name}\n"))
            .unwrap();
    }
    dir
}

fn load(args: &ClientArgs, places: &Places) -> Result<(String, Option<String>), String> {
    let settings = Settings::load(args, places).map_err(|fault| fault.to_string())?;
    Ok((settings.url.to_string(), settings.bearer.map(|bearer| bearer.0)))
}

const TOML: &str = "url = \"http://127.0.0.1:7420\"\ntoken_file = \"secrets/tokens/ir.token\"\n";

#[test]
fn the_file_of_the_directory_is_found_and_its_token_read() {
    let dir = realm(TOML);
    let found = load(&ClientArgs::default(), &places(dir.path().join("cli.toml"))).unwrap();
    assert_eq!(found, ("http://127.0.0.1:7420/".to_owned(), Some("token-of-ir".to_owned())));
}

#[test]
fn an_emitter_is_found_beside_the_file() {
    let dir = realm(TOML);
    let args = ClientArgs {
        act_as: Some(rescind_core::ids::EmitterId::new("hr").unwrap()),
        ..ClientArgs::default()
    };
    let found = load(&args, &places(dir.path().join("cli.toml"))).unwrap();
    assert_eq!(found.1.as_deref(), Some("token-of-hr"));
}

#[test]
fn without_a_file_an_address_is_needed() {
    let nowhere = places(PathBuf::from("/nonexistent/cli.toml"));
    assert!(load(&ClientArgs::default(), &nowhere).unwrap_err().contains("rescind dev"));
    let args = ClientArgs { url: Some("http://localhost:1".to_owned()), ..ClientArgs::default() };
    assert_eq!(load(&args, &nowhere).unwrap(), ("http://localhost:1/".to_owned(), None));
}

#[test]
fn wrong_files_are_named_and_their_secrets_are_not_shown() {
    let dir = realm("url = \"http://127.0.0.1:7420\"\ntoken = \"hunter2\"\n");
    let error = load(&ClientArgs::default(), &places(dir.path().join("cli.toml"))).unwrap_err();
    assert!(error.contains("token_file") && !error.contains("hunter2"), "{error}");
    for url in ["ftp://x", "nonsense", "http://u:p@x"] {
        let args = ClientArgs { url: Some(url.to_owned()), ..ClientArgs::default() };
        assert!(load(&args, &places(dir.path().join("none"))).is_err(), "{url}");
    }
}
