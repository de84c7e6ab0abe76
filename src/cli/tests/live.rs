//! Real processes: `rescind dev` with the commands a person tries, and a realm of `rescind init` run by hand.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a broken test is a failed test"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rescind_natsd::{Options, find_or_install};
use rescind_token::{Algorithm, Issuer, SignOptions};
use serde_json::{Value, json};

/// Limit: until a process says that it serves; the machine may be busy.
const START_WAIT: Duration = Duration::from_secs(60);

/// A process that is killed with the test.
struct Running {
    child: Child,
    line: Value,
}

impl Running {
    /// Starts and waits for the one line of `--json`, or nothing where `says` is false.
    fn start(mut command: Command, log: &Path, says: bool) -> Self {
        let log = File::create(log).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                send.send(line).ok();
            }
        });
        let mut running = Self { child, line: Value::Null };
        if says {
            let line = receive.recv_timeout(START_WAIT);
            running.line = serde_json::from_str(&line.unwrap_or_default()).unwrap_or_default();
            assert!(running.line.is_object(), "it did not get ready; its log has more");
        }
        running
    }

    /// Ctrl-C for this process only; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn nats_server() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
    find_or_install(&Options::from_env(dir), &mut |_| {}).unwrap().path
}

fn rescind(here: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
    command.args(args).current_dir(here).stdin(Stdio::null()).env_remove("RESCIND_CONFIG").env("HOME", here);
    command
}

/// Runs a command to its end: exit code, standard output as JSON where it is, and standard error.
fn ask(here: &Path, args: &[&str]) -> (i32, Value, String) {
    let output = rescind(here, args).arg("--json").output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), value, String::from_utf8(output.stderr).unwrap())
}

fn decide(here: &Path, socket: &str) -> (i32, Value) {
    let query = ["--token-file", "t", "--action", "order:read", "--resource", "/orders/1"];
    let (code, decision, _) = ask(here, &[&["decide", "--socket", socket], &query[..]].concat());
    (code, decision)
}

/// Waits, bounded, until a decision has this reason.
fn until_reason(here: &Path, socket: &str, reason: &str) -> Value {
    for _ in 0..200 {
        let (_, decision) = decide(here, socket);
        if decision["reason"] == reason {
            return decision;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("no decision `{reason}`: {}", decide(here, socket).1);
}

/// Waits, bounded, until `status` ends so: a first report may be under way, silence takes 10 s to be called so.
fn until_status(here: &Path, options: &[&str], code: i32) {
    for _ in 0..400 {
        if ask(here, &[&["status"], options].concat()).0 == code {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}", ask(here, &[&["status"], options].concat()));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const SOCKET: &str = ".rescind/run/agent.sock";

#[test]
fn dev_and_the_commands_a_person_tries() {
    let temp = tempfile::tempdir().unwrap();
    let here = temp.path();
    let mut dev = rescind(here, &["dev", "--json"]);
    dev.env("RESCIND_NATS_SERVER", nats_server());
    let dev = Running::start(dev, &here.join("dev.log"), true);
    let issuer = dev.line["issuer"]["url"].as_str().unwrap().to_owned();
    until_status(here, &[], 0);
    assert_eq!(ask(here, &["dev"]).0, 4, "one at a time");

    let grant = ["grant", "user:u1", "--action", "order:*", "--resource", "/orders/*", "--wait"];
    let (code, granted, err) = ask(here, &grant);
    assert_eq!((code, &granted["state"]), (0, &json!("enforced")), "{err}");
    let token =
        rescind(here, &["dev-token", "--sub", "u1", "--session", "s1", "--role", "admin"]).output().unwrap();
    fs::write(here.join("t"), token.stdout).unwrap();
    let (code, decision) = decide(here, SOCKET);
    assert_eq!((code, &decision["entitlements"][0]), (0, &granted["id"]), "{decision}");

    let session = format!("session:{issuer}#s1");
    let (code, revoked, err) = ask(here, &["revoke", &session, "--wait=20s", "--reason", "compromise"]);
    assert_eq!((code, &revoked["board"]["rows"][0]["agent"]), (0, &json!("payments-1")), "{err}");
    let (code, decision) = decide(here, SOCKET);
    assert_eq!(
        (code, &decision["reason"], &decision["records"][0]),
        (4, &json!("revoked.session"), &revoked["id"])
    );
    let query = ["--token-file", "t", "--action", "order:read", "--resource", "/orders/1"];
    let (code, explained, _) = ask(here, &[&["explain", "--socket", SOCKET], &query[..]].concat());
    assert_eq!((code, &explained["records"][0]["reason_code"]), (4, &json!("compromise")), "{explained}");

    kill_and_lift(here);
    refusals(here, revoked["id"].as_str().unwrap());

    assert_eq!(dev.interrupt(), Some(0));
    assert!(!here.join(SOCKET).exists(), "the socket goes away");
    assert_eq!(decide(here, SOCKET).0, 1);
}

fn kill_and_lift(here: &Path) {
    let token = rescind(here, &["dev-token", "--sub", "u1", "--tenant", "acme"]).output().unwrap();
    fs::write(here.join("t"), token.stdout).unwrap();
    let (code, killed, err) = ask(here, &["kill", "tenant:acme", "--wait"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(decide(here, SOCKET).1["reason"], "killed.tenant");
    let id = killed["id"].as_str().unwrap();
    let lifted = rescind(here, &["lift", id, "--wait"]).output().unwrap();
    let text = String::from_utf8(lifted.stdout).unwrap();
    assert!(text.contains("WILL WORK AGAIN") && text.contains("old credentials: WORK AGAIN"), "{text}");
    assert_eq!(decide(here, SOCKET).1["reason"], "entitled");
    assert_eq!(ask(here, &["watch", id, "--for", "5s"]).0, 0);
}

fn refusals(here: &Path, revoke: &str) {
    for (args, code) in [
        (&["lift", "deny-1-999"][..], "unknown_record"),
        (&["lift", revoke], "cannot_lift"),
        (&["kill", "all", "--as", "hr"], "rights"),
        (&["board", "deny-1-999"], "unknown_record"),
        (&["withdraw", "grant0-1-999"], "unknown_entitlement"),
    ] {
        let (exit, _, err) = ask(here, args);
        let error: Value = serde_json::from_str(&err).unwrap();
        assert_eq!(exit, 4, "{args:?}: {err}");
        assert!(error["error"]["code"] == code || code.starts_with("unknown"), "{args:?}: {err}");
    }
    let key = ["disable", "user:u9", "--as", "hr", "--key", "k1"];
    let (first, again) = (ask(here, &key).1, ask(here, &key).1);
    assert_eq!((&first["id"], &again["existing"]), (&again["id"], &json!(true)));
    let (_, records, _) = ask(here, &["records", "--target", "user:u9"]);
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
}

#[test]
fn a_realm_of_init_runs_and_a_silent_agent_is_partial() {
    let temp = tempfile::tempdir().unwrap();
    let here = temp.path();
    let issuer = Issuer::generate("https://idp.example", &[Algorithm::Es256]).unwrap();
    fs::write(here.join("jwks.json"), issuer.jwks_json()).unwrap();
    let (nats, listen) = (format!("nats://127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let direct = format!("127.0.0.1:{}", free_port());
    let realm =
        ["init", "r", "--agent", "p-1:pay", "--nats-url", &nats, "--listen", &listen, "--lease", "2s"];
    let realm = [&realm[..], &["--direct-listen", &direct]].concat();
    let trust = ["--issuer", "https://idp.example", "--jwks", "jwks.json"];
    assert_eq!(ask(here, &[&realm[..], &trust].concat()).0, 0);

    let mut server = Command::new(nats_server());
    server.args(["--config", "r/nats.conf"]).current_dir(here);
    let _server = Running::start(server, &here.join("nats.log"), false);
    let controller = rescind(here, &["controller", "--json", "--config", "r/controller.toml"]);
    let _controller = Running::start(controller, &here.join("controller.log"), true);
    let agent = ["agent", "--json", "--config", "r/agents/p-1.toml", "--socket", "s"];
    let agent = Running::start(rescind(here, &agent), &here.join("agent.log"), true);

    let config = ["--config", "r/cli.toml"];
    let grant = ["grant", "user:u1", "--member-of", "role:reader"];
    assert_eq!(ask(here, &[&grant[..], &config].concat()).0, 0);
    let grant = ["grant", "role:reader", "--action", "*", "--resource", "*", "--wait"];
    assert_eq!(ask(here, &[&grant[..], &config].concat()).0, 0);
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"sub": "u1", "aud": "pay", "iat": now - 60, "exp": now + 600, "jti": "j1"});
    let token = issuer.sign(&claims, &SignOptions::default()).unwrap();
    File::create(here.join("t")).unwrap().write_all(token.as_bytes()).unwrap();
    until_reason(here, "s", "entitled");

    let (code, disabled, _) = ask(here, &[&["disable", "user:u1"][..], &config].concat());
    assert_eq!(code, 0);
    let query = ["--token-file", "t", "--action", "order:read", "--resource", "/orders/1"];
    let at_least = |id: &str, wait: &str| {
        let options = ["decide", "--socket", "s", "--at-least", id, "--at-least-wait", wait];
        let (code, decision, _) = ask(here, &[&options[..], &query].concat());
        (code, decision["reason"].as_str().unwrap_or_default().to_owned())
    };
    let reads_its_write = at_least(disabled["id"].as_str().unwrap(), "4s");
    assert_eq!(reads_its_write, (4, "disabled.identity".to_owned()));
    assert_eq!(at_least("deny-1-99999", "100ms"), (4, "not_fresh".to_owned()));
    let id = disabled["id"].as_str().unwrap();
    assert_eq!(ask(here, &[&["reinstate", id, "--wait=20s"][..], &config].concat()).0, 0);
    assert_eq!(decide(here, "s").1["reason"], "revoked.cutoff", "old credentials stay dead");

    assert_eq!(agent.interrupt(), Some(0));
    let (code, killed, _) = ask(here, &[&["kill", "tenant:t", "--wait=100ms"][..], &config].concat());
    assert_eq!((code, &killed["state"]), (3, &json!("accepted")), "{killed}");
    // Enforced by its lease, as the agent stays away.
    let (code, _, _) =
        ask(here, &[&["watch", killed["id"].as_str().unwrap(), "--for", "20s"][..], &config].concat());
    assert_eq!(code, 0);
    // A silent agent is degraded.
    until_status(here, &config, 3);
}
