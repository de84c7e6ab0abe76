//! Time: a process that was stopped, and tokens that accuse a clock.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rescind_agent::Freshness;
use rescind_integration::{ACTION, LEASE, RESOURCE, Scene};
use rescind_testkit::{KitError, KitResult, Process, SOON, TestRealm, now_s, process, until, until_some};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

/// One question over a socket of `rescind agent`; `between` happens after it was sent and before the answer is read.
fn ask(socket: &Path, question: &Value, between: impl FnOnce() -> KitResult) -> KitResult<Value> {
    let failed = || KitError::because("ask the agent");
    let mut stream = UnixStream::connect(socket).map_err(failed())?;
    stream.set_read_timeout(Some(SOON)).map_err(failed())?;
    stream.write_all(format!("{question}\n").as_bytes()).map_err(failed())?;
    between()?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).map_err(failed())? == 1 && byte != *b"\n" {
        answer.extend(byte);
    }
    serde_json::from_slice(&answer).map_err(KitError::because("read the agent's answer"))
}

fn word(answer: &Value, name: &str) -> String {
    answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Fault row: process stopped for a while. The first decision after the wake is not fresh, though no code of the agent
/// ran since the lease ended.
#[tokio::test(flavor = "multi_thread")]
async fn fault_process_stopped_past_its_lease_denies_with_its_first_decision() -> KitResult {
    let builder = TestRealm::builder().agent("orders-1", "orders").agent("payments-1", "payments");
    let mut scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.agent_mut("payments-1")?.stop().await?;
    let files = scene.realm.files();
    let socket = files.dir().join("payments.sock");
    let mut command = Command::new(process::binary()?);
    command
        .args(["agent", "--json", "--config"])
        .arg(files.agent_toml("payments-1"))
        .arg("--socket")
        .arg(&socket);
    let mut agent = Process::start(command)?;
    agent.until_json("socket").await?;
    let question = json!({"token": token, "action": ACTION, "resource": RESOURCE});
    let allowed =
        || ask(&socket, &question, || Ok(())).ok().filter(|answer| word(answer, "effect") == "allow");
    until_some("the agent allows", SOON, allowed).await?;

    agent.signal(Signal::STOP)?;
    tokio::time::sleep(LEASE + Duration::from_millis(500)).await;
    let answer = ask(&socket, &question, || agent.signal(Signal::CONT))?;
    assert_eq!(
        (word(&answer, "effect").as_str(), word(&answer, "reason").as_str()),
        ("deny", "stale.strict")
    );
    until_some("the agent allows again", SOON, allowed).await?;
    Ok(())
}

/// S15: a token from the future accuses a clock: the lease goes once, a new one comes, and the token stays refused.
#[tokio::test(flavor = "multi_thread")]
async fn s15_a_token_from_the_future_costs_the_lease_once_and_is_never_taken() -> KitResult {
    let scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let agent = scene.realm.agent("payments-1")?;
    let faults = agent.handle()?.metrics().faults;
    let future = scene.clerk("alice").await?.issued_at(now_s() + 3600).sign()?;
    assert_eq!(agent.code(&future, ACTION, RESOURCE)?, "token.invalid");
    let raised = || agent.handle().is_ok_and(|agent| agent.metrics().faults > faults);
    until("the clock is accused", SOON, raised).await?;
    agent.until_freshness(Freshness::Fresh, Duration::from_secs(1)).await?;
    let faults = agent.handle()?.metrics().faults;
    for number in 0..5 {
        let future = scene
            .realm
            .issuer()
            .token("alice")
            .jti(&format!("f{number}"))
            .issued_at(now_s() + 3600)
            .sign()?;
        assert_eq!(agent.code(&future, ACTION, RESOURCE)?, "token.invalid");
    }
    agent.until_code("entitled", SOON, &token, ACTION, RESOURCE).await?;
    rescind_testkit::always("the agent allows", LEASE, || {
        agent.ask(&token, ACTION, RESOURCE).is_ok_and(|decision| decision.is_allow())
    })
    .await?;
    assert_eq!(
        agent.handle()?.metrics().faults,
        faults,
        "an issuer whose clock is ahead takes no further lease"
    );
    Ok(())
}
