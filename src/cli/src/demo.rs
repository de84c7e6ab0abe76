//! `rescind demo`: the main job, shown and checked on this machine.
//!
//! A managed nats-server, a controller, an issuer that signs real tokens, and three services with the agent
//! embedded, under a steady load of requests over HTTP. Every answer is compared with the expected one
//! ([`expect`]); the demo ends well only if none was wrong.

mod expect;
mod ground;
mod issuer;
mod load;
mod proxy;
mod script;
mod service;
mod stage;
mod timeline;

use std::path::PathBuf;

use serde_json::json;

use self::stage::Stage;
use self::timeline::Timeline;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Screen;

/// `rescind demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Leave everything running at the end and print commands to try.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where to keep a nats-server that has to be installed; default: beside the demo's data.
    #[arg(long, value_name = "DIR")]
    pub(crate) nats_dir: Option<PathBuf>,
}

/// Plays the demo. `Exit::Ok` only where every decision was the expected one.
pub(crate) async fn run(args: DemoArgs, screen: Screen) -> Result<Exit, Fault> {
    let mut timeline = Timeline::new(screen);
    let mut stage = Stage::set_up(args.nats_dir, &mut timeline).await?;
    let played = tokio::select! {
        played = script::play(&mut stage, &mut timeline) => played,
        // Why here: the server of the demo is in a process group of its own, and Ctrl-C does not reach it.
        _ = tokio::signal::ctrl_c() => Err(Fault::internal("interrupted", "the demo was interrupted; run it again")),
    };
    let (decisions, wrong) = stage.expectations.counts();
    timeline.summary(decisions, wrong, &stage.wrong());
    let ok = played.is_ok() && wrong == 0 && timeline.all_ok();
    let spread = timeline.spread();
    screen.json(&json!({
        "ok": ok,
        "decisions": decisions,
        "wrong": wrong,
        "accepted_to_enforced_ms": {"p50": spread.p50, "p99": spread.p99, "max": spread.max, "samples": spread.samples},
    }));
    if args.keep && played.is_ok() {
        stage.keep(screen).await?;
    }
    stage.stop().await;
    played?;
    Ok(if ok { Exit::Ok } else { Exit::Internal })
}
