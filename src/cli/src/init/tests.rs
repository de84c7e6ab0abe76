use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use clap::Parser;

use super::*;
use crate::args::{AddAgentArgs, Cli, Command, InitCommand, NewArgs};

fn new_args(line: &str) -> NewArgs {
    let words = ["rescind", "init", "d"].into_iter().chain(line.split_whitespace());
    match Cli::try_parse_from(words).unwrap().command {
        Command::Init(args) => args.new,
        other => panic!("{other:?}"),
    }
}

fn add_args(dir: &Path, agent: &str) -> AddAgentArgs {
    let words = ["rescind", "init", "add-agent", dir.to_str().unwrap(), agent];
    match Cli::try_parse_from(words).unwrap().command {
        Command::Init(args) => match args.command.unwrap() {
            InitCommand::AddAgent(args) => args,
        },
        other => panic!("{other:?}"),
    }
}

fn plan(line: &str) -> Plan {
    Plan::from_args(&new_args(line)).unwrap()
}

/// Every file below `dir` with mode and content.
fn content(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
            let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                all.insert(name, (mode, Vec::new()));
                todo.push(path);
            } else {
                all.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    all
}

const FULL: &str = "--agent pay-1:payments --agent orders-1:orders --issuer https://idp.example \
                    --jwks https://idp.example/jwks.json --audience api";

#[test]
fn a_realm_has_the_files_of_the_design_with_safe_modes() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("prod");
    let made = create(&dir, &plan(FULL)).unwrap();
    let files = content(&dir);
    for name in ["secrets", "secrets/nkeys", "secrets/tokens", "agents", "data"] {
        assert_eq!(files[name].0, 0o700, "{name}");
    }
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    for name in [
        "secrets/root.key",
        "secrets/controller.key",
        "secrets/agent-pay-1.key",
        "secrets/emitter-ir.key",
        "secrets/direct-ca.key",
        "secrets/direct-controller.key",
        "secrets/nkeys/controller.nk",
        "secrets/nkeys/agent-orders-1.nk",
        "secrets/nkeys/emitter-hr.nk",
        "secrets/tokens/ir.token",
        "secrets/tokens/hr.token",
    ] {
        assert_eq!(files[name].0, 0o600, "{name}");
    }
    for name in [
        "direct/ca.pem",
        "direct/controller.pem",
        "realm.json",
        "trust.json",
        "controller.toml",
        "cli.toml",
        "nats.conf",
        "agents/pay-1.toml",
    ] {
        assert!(made.files.contains(&name.to_owned()), "{name}");
    }
    let listed = files.iter().filter(|(_, (_, bytes))| !bytes.is_empty()).count();
    assert_eq!(listed, made.files.len(), "every file is told, and nothing else is left");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "no staging directory is left");
}

#[test]
fn secrets_are_in_secret_files_only() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("prod");
    create(&dir, &plan(FULL)).unwrap();
    let files = content(&dir);
    let token = String::from_utf8(files["secrets/tokens/ir.token"].1.clone()).unwrap();
    let seed = String::from_utf8(files["secrets/nkeys/agent-pay-1.nk"].1.clone()).unwrap();
    let key = String::from_utf8(files["secrets/agent-pay-1.key"].1.clone()).unwrap();
    assert!(seed.starts_with("SU"));
    for (name, (_, bytes)) in files.iter().filter(|(name, _)| !name.starts_with("secrets/")) {
        let text = String::from_utf8_lossy(bytes);
        for secret in [&token, &seed, &key] {
            assert!(!text.contains(secret.trim()), "{name}");
        }
    }
}

#[test]
fn a_realm_is_never_made_twice_and_nothing_changes() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("prod");
    create(&dir, &plan("")).unwrap();
    let before = content(&dir);
    let fault = create(&dir, &plan("")).unwrap_err();
    assert_eq!((fault.exit().code(), fault.code()), (4, "exists"));
    assert_eq!(content(&dir), before);
    let file = parent.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert_eq!(create(&file, &plan("")).unwrap_err().code(), "exists");
    let empty = parent.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(create(&empty, &plan("")).is_ok());
}

#[test]
fn every_mistake_is_told_at_once() {
    let line = "--realm a.b --agent x --agent c1:s --agent p:s --agent p:s --emitter hr:fire:5 --lease 1s \
                --nats-url http://x --issuer https://i --algorithm HS256";
    let fault = Plan::from_args(&new_args(line)).unwrap_err();
    assert_eq!(fault.exit().code(), 2);
    let text = fault.to_string();
    for part in [
        "--realm",
        "`x`",
        "`c1` is used twice",
        "`p` is used twice",
        "`fire`",
        "--lease",
        "--nats-url",
        "--jwks",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let both = "--issuer ftp://i --jwks https://i/jwks --algorithm HS256";
    let text = Plan::from_args(&new_args(both)).unwrap_err().to_string();
    assert!(text.contains("HS256"), "{text}");
}

#[test]
fn an_agent_is_enrolled_without_touching_existing_secrets() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("prod");
    create(&dir, &plan(FULL)).unwrap();
    let before = content(&dir);
    let added = add_agent(&add_args(&dir, "pay-2:payments")).unwrap();
    assert!(added.files.contains(&"secrets/agent-pay-2.key".to_owned()));
    let after = content(&dir);
    for (name, old) in &before {
        let replaced = ["trust.json", "nats-users.json", "nats-realm.conf"].contains(&name.as_str());
        assert_eq!(after[name] == *old, !replaced, "{name}");
    }
    assert_eq!(after["secrets/agent-pay-2.key"].0, 0o600);
    let toml = String::from_utf8(after["agents/pay-2.toml"].1.clone()).unwrap();
    assert!(
        toml.contains("https://idp.example/jwks.json") && toml.contains("service = \"payments\""),
        "{toml}"
    );
    assert!(toml.contains("https://127.0.0.1:7422") && toml.contains("../direct/ca.pem"), "{toml}");
    let conf = String::from_utf8(after["nats-realm.conf"].1.clone()).unwrap();
    assert!(conf.contains("agent.pay-2.report") && conf.contains("agent.pay-1.report"), "{conf}");
    let pin = load_pin(&fs::read_to_string(dir.join("realm.json")).unwrap()).unwrap();
    let bundle = TrustBundle::load(&fs::read_to_string(dir.join("trust.json")).unwrap(), &pin).unwrap();
    assert_eq!(bundle.certs().count(), 6);
}

#[test]
fn an_agent_is_not_enrolled_twice_nor_without_the_root() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("prod");
    create(&dir, &plan(FULL)).unwrap();
    let before = content(&dir);
    assert_eq!(add_agent(&add_args(&dir, "pay-1:payments")).unwrap_err().code(), "exists");
    assert_eq!(add_agent(&add_args(&dir, "ir:payments")).unwrap_err().code(), "exists");
    assert_eq!(content(&dir), before);
    fs::remove_file(dir.join("secrets/root.key")).unwrap();
    let fault = add_agent(&add_args(&dir, "pay-2:payments")).unwrap_err();
    assert!(fault.to_string().contains("root.key"), "{fault}");
    assert_eq!(fault.exit().code(), 2);
    assert_eq!(add_agent(&add_args(parent.path(), "pay-2:payments")).unwrap_err().exit().code(), 2);
}

#[test]
fn another_realms_root_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (one, two) = (parent.path().join("one"), parent.path().join("two"));
    create(&one, &plan(FULL)).unwrap();
    create(&two, &plan(FULL)).unwrap();
    fs::copy(two.join("secrets/root.key"), one.join("secrets/root.key")).unwrap();
    let fault = add_agent(&add_args(&one, "pay-2:payments")).unwrap_err();
    assert!(fault.to_string().contains("another realm"), "{fault}");
}

#[test]
fn what_init_writes_for_the_direct_path_is_taken_by_controller_and_agent() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("prod");
    create(&dir, &plan(&format!("{FULL} --direct-listen 0.0.0.0:7499"))).unwrap();
    let controller = rescind_controller::ControllerConfig::load(&dir.join("controller.toml")).unwrap();
    assert_eq!(controller.direct.unwrap().listen.to_string(), "0.0.0.0:7499");
    let agent = fs::read_to_string(dir.join("agents/pay-1.toml")).unwrap();
    assert!(agent.contains("https://127.0.0.1:7499"), "{agent}");
    rescind_agent::AgentConfig::load(&dir.join("agents/pay-1.toml")).unwrap();
    fs::write(dir.join("direct/controller.pem"), "not a certificate").unwrap();
    let error = rescind_controller::ControllerConfig::load(&dir.join("controller.toml")).unwrap_err();
    assert!(error.to_string().contains("direct.cert_file"), "{error}");
}

#[test]
fn the_direct_path_can_be_left_out() {
    let parent = tempfile::tempdir().unwrap();
    for (name, line) in [("off", "--direct-listen off"), ("any", "--listen 127.0.0.1:0")] {
        let dir = parent.path().join(name);
        create(&dir, &plan(&format!("--agent a:s {line}"))).unwrap();
        assert!(!dir.join("direct").exists());
        assert!(!fs::read_to_string(dir.join("agents/a.toml")).unwrap().contains("[direct]"));
    }
    let wrong = Plan::from_args(&new_args("--direct-listen 7422")).unwrap_err();
    assert!(wrong.to_string().contains("--direct-listen"), "{wrong}");
}
