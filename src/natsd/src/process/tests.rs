use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::locate::{Options, VERSION_PINNED, Version, find_or_install};

fn server() -> NatsServer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
    find_or_install(&Options::from_env(dir), &mut |_| {}).unwrap()
}

/// The greeting of the server, `None` when it does not answer within 300 ms.
fn greeting(process: &NatsProcess) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&process.address(), Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").ok()?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    while reader.read_line(&mut line).ok()? > 0 {
        if line.ends_with("PONG\r\n") {
            return Some(line);
        }
    }
    None
}

#[test]
fn starts_on_a_free_port_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = NatsProcess::start(&server(), Config::new(dir.path())).unwrap();
    assert!(process.is_running() && process.port() != 0);
    let text = greeting(&process).unwrap();
    assert!(text.contains("\"jetstream\":true"), "{text}");
    process.stop().unwrap();
    assert!(!process.is_running());
    process.stop().unwrap();
}

#[test]
fn restarts_on_the_same_port_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = NatsProcess::start(&server(), Config::new(dir.path())).unwrap();
    let (port, pid, url) = (process.port(), process.pid(), process.client_url());
    process.kill9().unwrap();
    assert!(!process.is_running() && greeting(&process).is_none());
    process.restart().unwrap();
    assert_eq!((process.port(), process.client_url()), (port, url));
    assert_ne!(process.pid(), pid);
    assert!(greeting(&process).is_some());
}

#[test]
fn pause_is_silence_and_resume_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = NatsProcess::start(&server(), Config::new(dir.path())).unwrap();
    process.pause().unwrap();
    assert!(greeting(&process).is_none() && process.is_running());
    process.resume().unwrap();
    assert!(poll_until(Duration::from_secs(5), || greeting(&process)).is_some());
    process.pause().unwrap();
    process.stop().unwrap();
    assert!(matches!(process.pause(), Err(ProcessError::NotRunning)));
}

#[test]
fn a_used_port_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let error = NatsProcess::start(&server(), Config { port, ..Config::new(dir.path()) }).unwrap_err();
    assert!(matches!(error, ProcessError::PortInUse { port: named } if named == port), "{error}");
}

#[test]
fn a_wrong_configuration_is_quoted_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let extra = Some("max_payloadd: 1".to_owned());
    let error = NatsProcess::start(&server(), Config { extra, ..Config::new(dir.path()) }).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ProcessError::Exited { .. }) && text.contains("max_payloadd"), "{text}");
}

#[test]
fn dropping_kills_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let process = NatsProcess::start(&server(), Config::new(dir.path())).unwrap();
    let address = process.address();
    drop(process);
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
}

#[test]
fn the_configuration_holds_what_was_asked_for() {
    let mut config = Config::new("/data dir");
    config.max_payload_bytes = Some(4096);
    config.extra = Some("ping_max: 2".to_owned());
    config.include = Some("/etc/more.conf".into());
    if let Some(jetstream) = &mut config.jetstream {
        jetstream.max_store_bytes = Some(1 << 20);
    }
    let text = conf::render(&config, 0, VERSION_PINNED).unwrap();
    for line in [
        "port: -1",
        "ports_file_dir: \"/data dir\"",
        "max_payload: 4096",
        "  sync_interval: always",
        "  max_file_store: 1048576",
        "ping_max: 2",
        "include \"../etc/more.conf\"",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing in:\n{text}");
    }
    let mut config = Config::new("/d");
    config.jetstream = None;
    assert!(!conf::render(&config, 4222, VERSION_PINNED).unwrap().contains("jetstream"));
}

#[test]
fn an_old_server_is_not_given_a_setting_that_it_refuses() {
    let old = Version { major: 2, minor: 9, patch: 10 };
    assert!(!conf::render(&Config::new("/d"), 0, old).unwrap().contains("sync_interval"));
}

#[test]
fn a_path_that_would_break_out_of_the_configuration_is_refused() {
    let config = Config::new("/a\"b");
    assert!(matches!(conf::render(&config, 0, VERSION_PINNED), Err(ProcessError::Path { .. })));
}

#[test]
fn ports_files_are_read_only_when_whole() {
    let whole = br#"{"nats":["nats://127.0.0.1:40123"],"monitoring":null}"#;
    assert_eq!(conf::client_port(whole), Some(40123));
    assert_eq!(conf::client_port(&whole[..20]), None);
    assert_eq!(conf::client_port(b""), None);
}
