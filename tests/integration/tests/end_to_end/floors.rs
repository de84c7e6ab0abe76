//! S5: what an agent called durable it does not fall behind, whatever was lost around it.

use std::fs;
use std::path::Path;

use rescind_agent::Freshness;
use rescind_integration::{ACTION, LEASE, RESOURCE, Scene};
use rescind_testkit::{KitError, KitResult, SOON, always, until};

/// Everything goes back at once: controller and broker to an older backup, the agent's store is lost. All that is left
/// is the floor of the agent, and it does not let a lease make it fresh.
#[tokio::test(flavor = "multi_thread")]
async fn s5_an_agent_that_lost_its_store_is_not_made_fresh_by_a_controller_that_went_back() -> KitResult {
    let mut scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let folder = scene.realm.files().dir().to_path_buf();
    stop(&mut scene).await?;
    copy(&folder.join("data"), &folder.join("backup"))?;
    start(&mut scene).await?;
    scene.realm.agent("payments-1")?.ready().await?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    let agent = scene.realm.agent("payments-1")?.handle()?;
    until("the record is durable", SOON, || agent.durable().deny.position >= record.position).await?;
    stop(&mut scene).await?;
    for name in ["controller", "nats"] {
        remove(&folder.join("data").join(name))?;
        copy(&folder.join("backup").join(name), &folder.join("data").join(name))?;
    }
    remove(&scene.realm.files().agent_store("payments-1").join("v1"))?;
    start(&mut scene).await?;
    let agent = scene.realm.agent("payments-1")?;
    until("the agent says why", SOON, || {
        agent.handle().is_ok_and(|agent| agent.status().fault.is_some_and(|fault| fault.contains("behind")))
    })
    .await?;
    always("the agent is not fresh", LEASE * 2, || {
        let handle = agent.handle();
        handle.is_ok_and(|handle| handle.freshness() != Freshness::Fresh)
            && agent.ask(&token, ACTION, RESOURCE).is_ok_and(|decision| !decision.is_allow())
    })
    .await
}

async fn stop(scene: &mut Scene) -> KitResult {
    scene.realm.agent_mut("payments-1")?.stop().await?;
    scene.realm.stop_controller().await?;
    scene.realm.with_nats("stop the server", |nats| nats.stop())
}

async fn start(scene: &mut Scene) -> KitResult {
    scene.realm.with_nats("start the server", |nats| nats.restart())?;
    scene.realm.start_controller().await?;
    scene.realm.agent_mut("payments-1")?.connect().await.map(drop)
}

fn copy(from: &Path, to: &Path) -> KitResult {
    let failed = || KitError::because(format!("copy {}", from.display()));
    fs::create_dir_all(to).map_err(failed())?;
    for entry in fs::read_dir(from).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed())?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(failed())?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> KitResult {
    fs::remove_dir_all(folder).map_err(KitError::because(format!("remove {}", folder.display())))
}
