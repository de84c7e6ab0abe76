//! `rescind controller`.

use rescind_controller::{Controller, ControllerConfig};
use serde_json::json;

use super::process;
use crate::args::ControllerArgs;
use crate::exit::Exit;
use crate::fault::{Fault, chain};
use crate::output::Screen;

/// Serves until told to end.
pub(super) async fn run(args: ControllerArgs, screen: Screen) -> Result<Exit, Fault> {
    let config = load(&args.config)?;
    process::logs(screen, "info")?;
    let mut end = process::End::listen()?;
    let starting = Controller::start(config);
    let controller = tokio::select! {
        started = starting => started
            .map_err(|error| Fault::internal("start", format!("starting the controller: {}", chain(&error))))?,
        () = end.asked() => return Ok(Exit::Ok),
    };
    let ready = controller.ready();
    screen.show(
        &format!("controller serves at {}", controller.url()),
        &json!({"command": "controller", "url": controller.url(), "ready": ready.ready}),
    );
    end.asked().await;
    screen.note("ending in order");
    controller.stop().await;
    Ok(Exit::Ok)
}

/// The configuration, or every mistake in it.
pub(super) fn load(path: &std::path::Path) -> Result<ControllerConfig, Fault> {
    ControllerConfig::load(path)
        .map_err(|error| Fault::usage(format!("cannot use `{}`: {}", path.display(), chain(&error))))
}
