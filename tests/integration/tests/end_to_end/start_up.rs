//! What a person sees when something is wrong at the start: one error that names the cause and the way out.

use std::{net::TcpListener, path::Path};

use rescind_testkit::{
    KitError, KitResult, TestRealm, controller::TestController, process, realm::unknown_key,
    realm::unknown_nkey,
};

/// Replaces text in a file; the text must be there.
fn edit(path: &Path, from: &str, to: &str) -> KitResult {
    let text = std::fs::read_to_string(path).map_err(KitError::because("read a configuration"))?;
    assert!(text.contains(from), "`{from}` is not in {}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).map_err(KitError::because("write a configuration"))
}

/// The error text of a start that must fail, with all its causes; no error has this text.
fn failure<T>(outcome: KitResult<T>) -> String {
    outcome.map_or_else(|error| error.to_string(), |_| "the start succeeded".to_owned())
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

async fn not_started() -> KitResult<TestRealm> {
    TestRealm::builder().agent("payments-1", "payments").without_controller().start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_both_name_the_address_and_what_to_do() -> KitResult {
    let mut realm = not_started().await?;
    realm.with_nats("stop the nats-server", |nats| nats.stop())?;
    let address = realm.nats_address().to_string();
    let text = failure(realm.agent_mut("payments-1")?.connect().await.map(drop));
    assert_says(&text, &[&address, "start nats-server"]);
    let text = failure(TestController::start(&realm.files().controller_toml()).await);
    assert_says(&text, &[&address, "start nats-server"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_called_that() -> KitResult {
    let mut realm = not_started().await?;
    for participant in ["agent-payments-1", "controller"] {
        let seed = unknown_nkey()?;
        std::fs::write(realm.files().nkey(participant), seed).map_err(KitError::because("write an nkey"))?;
    }
    let text = failure(realm.agent_mut("payments-1")?.connect().await.map(drop));
    assert_says(&text, &["credentials"]);
    let text = failure(TestController::start(&realm.files().controller_toml()).await);
    assert_says(&text, &["credentials"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_certified_is_refused_before_anything_runs() -> KitResult {
    let mut realm = not_started().await?;
    for participant in ["agent-payments-1", "controller"] {
        std::fs::write(realm.files().key(participant), unknown_key()?)
            .map_err(KitError::because("write a key"))?;
    }
    assert_says(&failure(realm.agent_mut("payments-1")?.connect().await.map(drop)), &["certif"]);
    assert_says(&failure(TestController::start(&realm.files().controller_toml()).await), &["certif"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_a_data_directory_in_use_are_named() -> KitResult {
    let mut realm = not_started().await?;
    let taken = TcpListener::bind(("127.0.0.1", 0)).map_err(KitError::because("take a port"))?;
    let address = taken.local_addr().map_err(KitError::because("read a port"))?.to_string();
    let config = realm.files().controller_toml();
    edit(&config, "127.0.0.1:0", &address)?;
    assert_says(&failure(TestController::start(&config).await), &[&address, "in use"]);
    drop(taken);
    edit(&config, &address, "127.0.0.1:0")?;
    realm.start_controller().await?;
    assert_says(&failure(TestController::start(&config).await), &["data/controller"]);
    // The one that runs is not harmed.
    realm.agent_mut("payments-1")?.connect().await?;
    realm.all_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_configuration_is_reported_at_once() -> KitResult {
    let mut realm = not_started().await?;
    let config = realm.files().controller_toml();
    edit(&config, "realm_file = \"realm.json\"", "realm_file = \"nowhere.json\"")?;
    edit(&config, "lease = \"2000ms\"", "lease = \"2h\"")?;
    edit(&config, "127.0.0.1:0", "localhost")?;
    edit(&config, "token_sha256 = \"", "token_sha256 = \"zz")?;
    let text = failure(TestController::start(&config).await);
    assert_says(&text, &["realm_file", "lease", "listen", "token_sha256"]);
    let config = realm.files().agent_toml("payments-1");
    edit(&config, "service = \"payments\"", "service = \"\"")?;
    edit(&config, "stale = \"strict(2000ms)\"", "stale = \"whatever\"")?;
    edit(&config, "algorithms = [\"ES256\"]", "algorithms = [\"none\"]")?;
    edit(&config, "audiences = [", "audiences = [] # ")?;
    let text = failure(realm.agent_mut("payments-1")?.connect().await.map(drop));
    assert_says(&text, &["service", "stale", "algorithms", "audiences"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_realms_root_is_not_trusted() -> KitResult {
    let mut realm = not_started().await?;
    let other = not_started().await?;
    std::fs::copy(other.files().trust_json(), realm.files().trust_json())
        .map_err(KitError::because("copy a bundle"))?;
    assert_says(&failure(realm.agent_mut("payments-1")?.connect().await.map(drop)), &["trust_file"]);
    assert_says(&failure(TestController::start(&realm.files().controller_toml()).await), &["trust_file"]);
    Ok(())
}

/// The same through the binary: exit codes of semantics.md section 8, and one line that helps.
#[tokio::test(flavor = "multi_thread")]
async fn the_binary_tells_usage_from_trouble() -> KitResult {
    let mut realm = not_started().await?;
    let config = realm.files().controller_toml().display().to_string();
    realm.with_nats("stop the nats-server", |nats| nats.stop())?;
    let away = process::run(&["controller", "--config", &config]).await?;
    assert_eq!(away.code, Some(1), "{}", away.stderr);
    assert_says(&away.stderr, &[&realm.nats_address().to_string()]);
    edit(Path::new(&config), "lease = \"2000ms\"", "lease = \"soon\"")?;
    let wrong = process::run(&["controller", "--config", &config]).await?;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert_says(&wrong.stderr, &["lease"]);
    let missing = process::run(&["controller", "--config", "nowhere.toml"]).await?;
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert_says(&missing.stderr, &["nowhere.toml"]);
    Ok(())
}
