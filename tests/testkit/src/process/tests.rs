use super::*;
use crate::wait::until;

/// A shell with a child of its own; says the child's id.
fn parent() -> Process {
    let mut command = Command::new("bash");
    command.args(["-c", "sleep 600 & echo \"{\\\"child\\\":\\\"$!\\\"}\"; wait"]);
    Process::start(command).unwrap()
}

/// Whether a process runs; one that is dead but not yet waited for does not.
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn a_dropped_or_killed_process_takes_its_children_along() {
    let mut dropped = parent();
    let child = dropped.until_json("child").await.unwrap();
    assert!(runs(&child));
    drop(dropped);
    until("the child is gone", SOON, || !runs(&child)).await.unwrap();
    let mut killed = parent();
    let child = killed.until_json("child").await.unwrap();
    assert!(runs(&child));
    killed.kill9().await.unwrap();
    until("the child is gone", SOON, || !runs(&child)).await.unwrap();
    assert!(killed.signal(Signal::TERM).is_err());
}

#[tokio::test]
async fn the_last_words_of_a_process_are_in_the_error() {
    let mut command = Command::new("bash");
    command.args(["-c", "echo broken pipe dream >&2; exit 3"]);
    let mut process = Process::start(command).unwrap();
    assert_eq!(process.wait(SOON).await.unwrap(), Some(3));
    until("the words are collected", SOON, || process.stderr().contains("dream")).await.unwrap();
    assert!(process.line().await.unwrap_err().to_string().contains("pipe dream"));
}
