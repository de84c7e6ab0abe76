//! `rescind dev` and `rescind dev-token`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{agent, controller, process};
use crate::args::{DevArgs, DevTokenArgs};
use crate::dev::{self, DevRealm};
use crate::exit::Exit;
use crate::fault::{Fault, chain};
use crate::output::Screen;
use crate::socket;

/// Limit: until controller and agent are ready; a slow disk gets some time.
const READY_WAIT: Duration = Duration::from_secs(20);

/// Pause between two looks at the nats-server.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs everything until told to end.
pub(super) async fn run(args: DevArgs, screen: Screen) -> Result<Exit, Fault> {
    process::logs(screen, "warn")?;
    let mut end = process::End::listen()?;
    let realm = DevRealm::open(&args.dir, &args.service, screen)?;
    let broker = tokio::select! {
        broker = dev::Broker::start(&realm, screen) => broker?,
        () = end.asked() => return Ok(Exit::Ok),
    };
    let outcome = serve(&realm, &broker, &args, &mut end, screen).await;
    let stopped = broker.stop().await;
    outcome.and_then(|exit| stopped.map(|()| exit))
}

async fn serve(
    realm: &DevRealm,
    broker: &dev::Broker,
    args: &DevArgs,
    end: &mut process::End,
    screen: Screen,
) -> Result<Exit, Fault> {
    let issuer = dev::DevIssuer::start(realm).await?;
    screen.text(&format!("issuer       {} (its keys live in memory only)", realm.issuer()));
    let config = controller::load(&realm.path("controller.toml"))?;
    let started = rescind_controller::Controller::start(config).await;
    let controller = started
        .map_err(|error| Fault::internal("start", format!("starting the controller: {}", chain(&error))))?;
    controller.wait_ready(READY_WAIT).await.map_err(|readiness| {
        Fault::internal(
            "start",
            format!("the controller does not get ready: {}", readiness.reasons.join("; ")),
        )
    })?;
    screen.text(&format!("controller   {}", controller.url()));
    let agent = agent::connect(agent::load(&realm.path(&realm.agent_file()))?).await?;
    agent.ready_within(READY_WAIT).await.map_err(|error| {
        Fault::internal("start", format!("the agent does not get fresh: {}", chain(&error)))
    })?;
    let bound = socket::Bound::new(&realm.path(dev::AGENT_SOCKET))?;
    let serving = tokio::spawn(socket::serve(bound, agent::answers(agent.clone()), issuer.stop_token()));
    let shown = args.dir.join(dev::AGENT_SOCKET);
    screen.text(&format!(
        "agent        {} for {}, fresh, socket {}",
        agent.agent_id(),
        agent.service(),
        shown.display()
    ));
    screen.show(
        &format!("\n{}", words(&args.dir, realm)),
        &json!({
            "command": "dev", "dir": realm.dir(), "nats": broker.json(), "controller": {"url": controller.url()},
            "issuer": {"url": realm.issuer(), "jwks_url": realm.jwks_url()},
            "agent": {"id": agent.agent_id(), "service": agent.service(), "socket": realm.path(dev::AGENT_SOCKET)},
            "config": realm.path("cli.toml"),
        }),
    );
    let outcome = tokio::select! {
        () = end.asked() => Ok(Exit::Ok),
        () = broker.ended(LOOK_EVERY) => Err(broker.lost()),
    };
    screen.note("\nending in order");
    issuer.stop().await;
    serving.await.ok();
    // Why together: each waits a bounded time for a bus that may have gone first, as with Ctrl-C in a terminal.
    tokio::join!(agent.stop(), controller.stop());
    outcome
}

/// The commands to try.
fn words(dir: &Path, realm: &DevRealm) -> String {
    let (config, dir_option) = match dir == Path::new(".rescind") {
        true => (String::new(), String::new()),
        false => {
            (format!(" --config {}", dir.join("cli.toml").display()), format!(" --dir {}", dir.display()))
        }
    };
    let query = format!(
        "--socket {} --token-file t --action order:read --resource /orders/1",
        dir.join(dev::AGENT_SOCKET).display()
    );
    let issuer = realm.issuer();
    [
        "try, in another terminal:".to_owned(),
        format!("  rescind grant user:u1 --action 'order:*' --resource '/orders/*' --wait{config}"),
        format!("  rescind dev-token --sub u1 --session s1{dir_option} > t"),
        format!("  rescind decide {query}"),
        format!("  rescind revoke 'session:{issuer}#s1' --wait{config}"),
        format!("  rescind explain {query}{config}"),
        format!("  rescind records{config}"),
        "help for each: rescind help revoke; Ctrl-C here ends everything, data stay".to_owned(),
    ]
    .join("\n")
}

/// Prints a token of the running dev realm.
pub(super) fn token(args: &DevTokenArgs, screen: Screen) -> Result<Exit, Fault> {
    let path = args.dir.join(dev::ISSUER_SOCKET);
    let question = json!({
        "sub": args.sub, "roles": args.roles, "groups": args.groups, "scopes": args.scopes, "sid": args.session,
        "jti": args.jti, "client_id": args.client, "tenant": args.tenant, "ttl_s": args.ttl.as_secs(),
    });
    let answer = socket::ask(&path, "issuer of `rescind dev`", &question)?;
    let Some(token) = answer.get("token").and_then(Value::as_str) else {
        return Err(Fault::internal(
            "answer",
            format!("`{}` does not answer like an issuer", path.display()),
        ));
    };
    if !screen.is_json() {
        screen.raw(token);
    }
    screen.json(&answer);
    Ok(Exit::Ok)
}
