use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::*;

fn spawn(path: &std::path::Path) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let echo: Answer = Arc::new(|line: &str| {
        let answer = match serde_json::from_str::<Value>(line) {
            Ok(question) => json!({"echo": question}),
            Err(_) => error("bad_line", "no json"),
        };
        Box::pin(async move { answer })
    });
    let server = tokio::spawn(serve(Bound::new(path).unwrap(), echo, stop.clone()));
    (stop, server)
}

fn asked(path: PathBuf, question: Value) -> tokio::task::JoinHandle<Result<Value, String>> {
    tokio::task::spawn_blocking(move || ask(&path, "agent", &question).map_err(|fault| fault.to_string()))
}

#[tokio::test]
async fn a_question_is_answered_and_the_socket_is_private_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (stop, server) = spawn(&path);
    assert_eq!(asked(path.clone(), json!({"a": 1})).await.unwrap(), Ok(json!({"echo": {"a": 1}})));
    assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the socket is left");
    stop.cancel();
    server.await.unwrap();
    assert!(!path.exists());
    assert!(asked(path, json!({})).await.unwrap().unwrap_err().contains("is it running"));
}

#[tokio::test]
async fn a_listening_socket_is_not_replaced_and_a_stale_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "stale");
    let (stop, server) = spawn(&path);
    let fault = Bound::new(&path).unwrap_err();
    assert!(fault.to_string().contains("another process listens"), "{fault}");
    assert!(asked(path.clone(), json!({})).await.unwrap().is_ok());
    stop.cancel();
    server.await.unwrap();
    fs::write(&path, "mine").unwrap();
    assert!(Bound::new(&path).unwrap_err().to_string().contains("no socket"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn lines_are_bounded_and_bad_ones_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (stop, server) = spawn(&path);
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"nonsense\n\xff\n").await.unwrap();
    stream.write_all(&vec![b'x'; LINE_BYTES_MAX + 10]).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    for code in ["bad_line", "bad_line", "too_long"] {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains(code), "{line}");
    }
    assert!(
        asked(path, json!({"pad": "x".repeat(LINE_BYTES_MAX)}))
            .await
            .unwrap()
            .unwrap_err()
            .contains("longer")
    );
    stop.cancel();
    server.await.unwrap();
}
