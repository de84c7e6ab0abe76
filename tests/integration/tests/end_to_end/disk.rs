//! The disk under the controller's log is full: refused with a clear error, nothing accepted is lost.

use std::{collections::BTreeSet, path::Path};

use rescind_integration::Scene;
use rescind_testkit::{Accepted, Api, KitError, KitResult, Process, SOON, TestRealm};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Size of the largest file below a folder, in KiB.
fn largest_kib(folder: &Path) -> std::io::Result<u64> {
    let mut largest = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let size = if entry.file_type()?.is_dir() {
            largest_kib(&entry.path())?
        } else {
            entry.metadata()?.len() / 1024
        };
        largest = largest.max(size);
    }
    Ok(largest)
}

/// Starts the controller as a process of its own and points the clients to it.
async fn controller(realm: &TestRealm, file_kib: Option<u64>) -> KitResult<Process> {
    let mut process = Process::controller(&realm.files().controller_toml(), file_kib)?;
    realm.serve_at(&process.until_json("url").await?);
    Ok(process)
}

async fn end(mut process: Process) -> KitResult {
    process.signal(Signal::TERM)?;
    process.wait(SOON).await.map(drop)
}

/// What happened until the disk was full.
struct Filled {
    accepted: Vec<Accepted>,
    /// The batch in which the first directive was not accepted.
    stopped_at: usize,
}

/// Five hundred directives with keys of their own.
fn batch(number: usize) -> Value {
    let filler = "x".repeat(200);
    let directives: Vec<_> = (0..500)
        .map(|n| {
            let target = format!("client:{number}-{n}-{filler}");
            json!({ "kind": "hold", "target": target, "idempotency_key": format!("f{number}-{n}") })
        })
        .collect();
    json!({ "directives": directives })
}

/// Sends directives until one is not accepted.
async fn fill(ir: &Api) -> KitResult<Filled> {
    let mut accepted = Vec::new();
    for number in 0..400 {
        let answer = ir.post(&batch(number)).await?;
        let results = answer.field("results").as_array().cloned().unwrap_or_default();
        let before = accepted.len();
        accepted.extend(results.iter().filter_map(Accepted::read));
        if accepted.len() - before < 500 {
            return Ok(Filled { accepted, stopped_at: number });
        }
    }
    Err(KitError::new("the log never got full"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing() -> KitResult {
    let builder = TestRealm::builder().agent("payments-1", "payments").without_controller();
    let mut realm = builder.start().await?;
    let ir = realm.api("ir")?;
    let first = controller(&realm, None).await?;
    let hold = ir.record("hold", "client:before").await?;
    end(first).await?;
    let size = largest_kib(&realm.files().controller_data()).map_err(KitError::because("measure the log"))?;

    let limited = controller(&realm, Some(size + 256)).await?;
    realm.agent_mut("payments-1")?.connect().await?;
    realm.all_ready().await?;
    let Filled { accepted, stopped_at } = fill(&ir).await?;
    let refused =
        ir.post(&json!({ "kind": "hold", "target": "client:late", "idempotency_key": "late" })).await?;
    let (code, message) = refused.refused()?;
    assert_eq!((refused.status, code.as_str()), (503, "log_full"), "{message}");
    assert!(["disk", "space", "room"].iter().any(|word| message.contains(word)), "{message}");
    let ready = ir.get("/readyz").await?;
    assert_eq!(ready.status, 503, "{}", ready.body);
    end(limited).await?;

    let again = controller(&realm, None).await?;
    let heads = ir.get("/v1/position").await?.body;
    let last = accepted.iter().map(|one| one.position).max().unwrap_or(hold.position);
    let head: u64 =
        heads["deny"].as_str().and_then(|text| text.split('/').nth(1)?.parse().ok()).unwrap_or_default();
    assert!(head >= last.revision.0, "{heads} is behind {last}");
    for one in accepted.iter().chain([&hold]) {
        let row = ir.get(&format!("/v1/records/{}", one.id)).await?;
        assert_eq!((row.status, row.field("state")), (200, &json!("active")), "{}: {}", one.id, row.body);
    }
    // What was under way when the disk got full has one effect, whether or not it had reached the log.
    let repeated = ir.post(&batch(stopped_at)).await?;
    let results = repeated.field("results").as_array().cloned().unwrap_or_default();
    let repeated: Vec<Accepted> = results.iter().filter_map(Accepted::read).collect();
    let ids: BTreeSet<&str> = accepted.iter().chain(&repeated).map(|one| one.id.as_str()).collect();
    assert_eq!((repeated.len(), ids.len()), (500, (stopped_at + 1) * 500));
    let scene = Scene { realm, ir };
    let role = scene.ir.grant("role:clerk", "refund:*", "/orders/*").await?;
    scene.settled(role).await?;
    let clerk = scene.clerk("alice").await?;
    let late = scene.ir.record("hold", "client:late").await?;
    scene.settled(late.clone()).await?;
    scene.realm.all_ready().await?;
    scene.denied(&clerk.clone().client("late").sign()?, "held.client", &[&late])?;
    scene.denied(&clerk.clone().client("before").sign()?, "held.client", &[&hold])?;
    scene.allowed(&clerk.sign()?)?;
    end(again).await
}
