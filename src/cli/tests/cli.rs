//! The binary as a user meets it: exit codes, and what goes to which stream.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken test is a failed test")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn command(here: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
    command.args(args).current_dir(here).stdin(Stdio::null());
    command.env_remove("RESCIND_CONFIG").env("HOME", here);
    command
}

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn rescind(here: &Path, args: &[&str]) -> Ran {
    ran(command(here, args).output().unwrap())
}

fn here() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// One answer for every request, on a port of its own; the URL, and the requests that came.
fn controller(status: u16, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 16 * 1024];
            let mut seen = Vec::new();
            while !is_whole(&seen) {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    read => seen.extend_from_slice(&buffer[..read]),
                }
            }
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).ok();
        }
    });
    url
}

fn is_whole(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

#[test]
fn mistakes_in_the_command_line_are_usage_errors() {
    let here = here();
    for args in [
        &["fire", "user:u1"][..],
        &["revoke"],
        &["revoke", "u1"],
        &["revoke", "user:"],
        &["revoke", "user:a*"],
        &["revoke", "session:s1"],
        &["revoke", "tenant:acme"],
        &["disable", "client:c"],
        &["hold", "all"],
        &["kill", "user:u1"],
        &["kill", "tenant:t", "--cutoff", "now"],
        &["kill", "tenant:t", "--wait", "soon"],
        &["lift", "deny-01-2"],
        &["lift", "deny-1-2", "--resume", "--with-cutoff"],
        &["withdraw", "user:u1"],
        &["grant", "alice", "--action", "a", "--resource", "/x"],
        &["grant", "role:r"],
        &["records", "--limit", "0"],
        &["completions", "cobol"],
    ] {
        let ran = rescind(here.path(), args);
        assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{args:?}");
    }
}

#[test]
fn a_wrong_kind_says_which_command_would_fit() {
    let here = here();
    let ran = rescind(here.path(), &["revoke", "tenant:acme"]);
    assert!(ran.err.contains("use `kill` for something wider"), "{}", ran.err);
    assert!(ran.err.starts_with("rescind: revoke tenant:acme: "), "{}", ran.err);
}

#[test]
fn help_tells_undo_and_exit_codes() {
    let here = here();
    let ran = rescind(here.path(), &["help", "kill"]);
    assert_eq!(ran.code, 0);
    for part in
        ["Examples:", "rescind kill tenant:acme --wait", "Undo: `rescind lift ID`", "Exit codes: 0 accepted"]
    {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let ran = rescind(here.path(), &["help"]);
    assert!(ran.out.contains("3  partial") && ran.out.contains("4  refused"), "{}", ran.out);
}

#[test]
fn without_a_controller_nothing_is_sent_and_it_says_so() {
    let here = here();
    let ran = rescind(here.path(), &["kill", "tenant:t"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no cli.toml was found"), "{}", ran.err);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for args in
        [&["kill", "tenant:t"][..], &["records"], &["status"], &["board", "deny-1-1"], &["lift", "deny-1-1"]]
    {
        let ran = rescind(here.path(), &[args, &["--url", &url]].concat());
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("connection refused; nothing was sent"), "{args:?}: {}", ran.err);
    }
}

#[test]
fn an_error_for_a_script_is_one_object() {
    let here = here();
    let ran = rescind(here.path(), &["--json", "kill", "tenant:t"]);
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, &error["error"]["exit"], &error["error"]["code"]), (2, &2.into(), &"usage".into()));
    assert!(ran.out.is_empty());
}

#[test]
fn an_unknown_record_is_refused_before_anything_is_sent() {
    let here = here();
    let url = controller(404, r#"{"error":{"code":"unknown_record","message":"no such record"}}"#);
    for verb in ["lift", "reinstate"] {
        let ran = rescind(here.path(), &[verb, "deny-1-99", "--url", &url]);
        assert_eq!(ran.code, 4);
        let wanted = format!("rescind: {verb} deny-1-99 was refused: the controller has no such record");
        assert!(ran.err.starts_with(&wanted), "{}", ran.err);
    }
}

#[test]
fn a_refusal_is_told_in_the_controllers_words() {
    let here = here();
    let url = controller(
        403,
        r#"{"error":{"code":"rights","message":"`hr` may not kill; ask incident response"}}"#,
    );
    let ran = rescind(here.path(), &["kill", "all", "--url", &url]);
    assert_eq!(ran.code, 4);
    assert_eq!(ran.err, "rescind: kill all was refused (rights): `hr` may not kill; ask incident response\n");
}

#[test]
fn what_was_accepted_is_told_exactly() {
    let here = here();
    let answer = r#"{"state":"accepted","id":"deny-1-3","position":"1/3","lane":"deny","existing":false,"accepted_at_ms":1767225600000,"cutoff":1767225600}"#;
    let url = controller(200, answer);
    let ran = rescind(here.path(), &["disable", "user:u1", "--url", &url, "--reason", "leaver"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.starts_with("accepted deny-1-3 at position 1/3 (lane deny), 2026-01-01T00:00:00.000Z\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("undo: rescind reinstate deny-1-3") && !ran.out.contains("success"),
        "{}",
        ran.out
    );
    let ran = rescind(here.path(), &["--json", "disable", "user:u1", "--url", &url, "--key", "k1"]);
    let object: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&object["id"], &object["idempotency_key"], &object["undo"]),
        (&"deny-1-3".into(), &"k1".into(), &"reinstate".into())
    );
}

#[test]
fn init_tells_all_mistakes_and_writes_nothing() {
    let here = here();
    let ran = rescind(
        here.path(),
        &["init", "r", "--realm", "a b", "--agent", "x", "--emitter", "hr:fire:99", "--lease", "1h"],
    );
    assert_eq!(ran.code, 2);
    for part in
        ["4 mistakes, nothing was changed", "--realm", "--agent `x`", "--emitter `hr:fire:99`", "--lease"]
    {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn init_makes_a_realm_once() {
    let here = here();
    let ran = rescind(here.path(), &["--json", "init", "r", "--agent", "p-1:pay"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let object: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(object["agents"][0]["id"], "p-1");
    let ran = rescind(here.path(), &["init", "r"]);
    assert_eq!(ran.code, 4);
    assert!(ran.err.contains("it is not empty; nothing was changed"), "{}", ran.err);
    let ran = rescind(here.path(), &["init", "add-agent", "r", "p-2:pay"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("enrolled agent p-2 for pay"), "{}", ran.out);
    assert_eq!(rescind(here.path(), &["init", "add-agent", "r", "p-2:pay"]).code, 4);
}

#[test]
fn the_token_of_another_emitter_is_looked_for_where_init_puts_it() {
    let here = here();
    assert_eq!(rescind(here.path(), &["init", ".rescind"]).code, 0);
    let ran = rescind(here.path(), &["records", "--as", "nobody"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("secrets/tokens/nobody.token"), "{}", ran.err);
}

#[test]
fn decide_without_an_agent_or_token_says_what_is_missing() {
    let here = here();
    let query = ["decide", "--socket", "none.sock", "--token-file", "t", "--action", "a", "--resource", "/x"];
    let ran = rescind(here.path(), &query);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cannot read the token from `t`"), "{}", ran.err);
    fs::write(here.path().join("t"), "not.a.token\n").unwrap();
    let ran = rescind(here.path(), &query);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is it running") && !ran.err.contains("not.a.token"), "{}", ran.err);
}

#[test]
fn a_configuration_is_refused_with_its_name() {
    let here = here();
    fs::write(here.path().join("c.toml"), "listen = 7\nnonsense = true\n").unwrap();
    for args in [&["controller", "--config", "c.toml"][..], &["agent", "--config", "c.toml", "--socket", "s"]]
    {
        let ran = rescind(here.path(), args);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("cannot use `c.toml`"), "{}", ran.err);
    }
    assert!(!here.path().join("s").exists());
}

#[test]
fn completions_are_a_script() {
    let here = here();
    for shell in ["bash", "zsh", "fish"] {
        let ran = rescind(here.path(), &["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("rescind"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let here = here();
    let mut child = command(here.path(), &["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn dev_leaves_a_foreign_directory_alone() {
    let here = here();
    fs::create_dir(here.path().join("mine")).unwrap();
    fs::write(here.path().join("mine/file"), "x").unwrap();
    let ran = rescind(here.path(), &["dev", "--dir", "mine"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("was not made by `rescind dev`"), "{}", ran.err);
    let ran = rescind(here.path(), &["dev-token", "--sub", "u1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("issuer of `rescind dev`"), "{}", ran.err);
}
