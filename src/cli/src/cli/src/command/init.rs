//! `rescind init` and `rescind init add-agent`.

use std::path::Path;

use serde_json::json;

use crate::args::{AddAgentArgs, InitArgs, InitCommand, NewArgs};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::init::{self, Plan};
use crate::output::Screen;

/// Makes a realm, or enrolls an agent.
pub(super) fn run(args: &InitArgs, screen: Screen) -> Result<Exit, Fault> {
    match &args.command {
        Some(InitCommand::AddAgent(args)) => add(args, screen),
        None => new(&args.new, screen),
    }
}

fn new(args: &NewArgs, screen: Screen) -> Result<Exit, Fault> {
    let dir = args.dir.as_deref().unwrap_or(Path::new(""));
    let plan = Plan::from_args(args)?;
    let made = init::create(dir, &plan)?;
    let shown = dir.display().to_string();
    let next = next(&shown, &plan);
    let mut text = vec![
        format!("made realm {} in {shown}: {} files", plan.realm, made.files.len()),
        format!("chain {}, root key SHA-256 {}", made.chain, made.root_fingerprint),
    ];
    for emitter in &plan.emitters {
        let words = emitter.words().join(", ");
        text.push(format!("emitter {}: {words}; up to rung {}", emitter.name, emitter.rung_max));
    }
    text.extend(plan.agents.iter().map(|agent| format!("agent {} enforces for {}", agent.id, agent.service)));
    if plan.issuers.is_empty() && !plan.agents.is_empty() {
        text.push("no issuer was given: fill in [[issuers]] of each agent before it can start".to_owned());
    }
    text.push("next:".to_owned());
    text.extend(next.iter().map(|line| format!("  {line}")));
    let emitters = plan.emitters.iter();
    let emitters =
        emitters.map(|e| json!({"name": e.name.as_str(), "allow": e.words(), "rung_max": e.rung_max}));
    let agents = plan.agents.iter().map(|a| json!({"id": a.id.as_str(), "service": a.service.as_str()}));
    screen.show(
        &text.join("\n"),
        &json!({
            "command": "init", "dir": made.dir, "realm": plan.realm, "chain_id": made.chain,
            "root_fingerprint": made.root_fingerprint, "emitters": emitters.collect::<Vec<_>>(),
            "agents": agents.collect::<Vec<_>>(), "files": made.files, "next": next,
        }),
    );
    Ok(Exit::Ok)
}

fn next(dir: &str, plan: &Plan) -> Vec<String> {
    let mut next = vec![
        format!("nats-server --config {dir}/nats.conf"),
        format!("rescind controller --config {dir}/controller.toml"),
    ];
    match plan.agents.first() {
        Some(agent) => next.push(format!(
            "rescind agent --config {dir}/agents/{}.toml --socket {}.sock",
            agent.id, agent.id
        )),
        None => next.push(format!("rescind init add-agent {dir} payments-1:payments")),
    }
    next.push(format!("rescind status --config {dir}/cli.toml"));
    next.push(format!("# move {dir}/secrets/root.key off this machine; only add-agent needs it"));
    next
}

fn add(args: &AddAgentArgs, screen: Screen) -> Result<Exit, Fault> {
    let added = init::add_agent(args)?;
    let shown = args.dir.display();
    let id = &added.agent.id;
    let next = [
        "nats-server --signal reload".to_owned(),
        format!(
            "rescind controller --config {shown}/controller.toml   # restart it: it reads trust.json at its start"
        ),
        format!("rescind agent --config {shown}/agents/{id}.toml --socket {id}.sock"),
    ];
    let text = format!(
        "enrolled agent {id} for {}; new or replaced:\n  {}\nnext:\n  {}",
        added.agent.service,
        added.files.join("\n  "),
        next.join("\n  ")
    );
    screen.show(
        &text,
        &json!({
            "command": "add-agent", "dir": added.dir, "files": added.files, "next": next,
            "agent": {"id": id.as_str(), "service": added.agent.service.as_str()},
        }),
    );
    Ok(Exit::Ok)
}
