use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use super::*;

/// A controller that gives prepared answers, one connection each, and returns the requests that it got.
/// An empty answer closes the connection instead.
fn scripted(answers: &'static [(u16, &'static str)]) -> (Client, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let server = thread::spawn(move || {
        let mut seen = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            seen.push(read_request(&mut stream));
            if *status > 0 {
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        }
        seen
    });
    (Client::new(Settings { url, bearer: None }).unwrap(), server)
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        text.extend_from_slice(&buffer[..read]);
        let so_far = String::from_utf8_lossy(&text).to_lowercase();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if read == 0 || body.len() >= length.unwrap_or(0) {
            return String::from_utf8(text).unwrap();
        }
    }
}

const ACCEPTED: &str = r#"{"state":"accepted","id":"deny-1-3","position":"1/3"}"#;
const UNKNOWN: &str = r#"{"error":{"code":"indeterminate","message":"retry with the same key"}}"#;

fn directive() -> Value {
    json!({"kind": "revoke", "target": "user:u1", "idempotency_key": "k1"})
}

#[tokio::test]
async fn an_unknown_outcome_is_repeated_with_the_same_key() {
    let (client, server) = scripted(&[(504, UNKNOWN), (0, ""), (200, ACCEPTED)]);
    let sent = client.direct("revoke user:u1", &directive(), "k1").await.unwrap();
    assert_eq!((sent.attempts, sent.answer["id"].as_str()), (3, Some("deny-1-3")));
    let seen = server.join().unwrap();
    assert!(seen.iter().all(|request| request.contains(r#""idempotency_key":"k1""#)), "{seen:?}");
}

#[tokio::test]
async fn a_refusal_is_final() {
    let (client, server) = scripted(&[(403, r#"{"error":{"code":"rights","message":"ask somebody else"}}"#)]);
    let fault = client.direct("kill all", &directive(), "k1").await.unwrap_err();
    assert_eq!((fault.exit().code(), fault.code()), (4, "rights"));
    assert_eq!(fault.to_string(), "kill all was refused (rights): ask somebody else");
    assert_eq!(server.join().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_listening_fails_at_once_and_says_that_nothing_was_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let client = Client::new(Settings { url, bearer: None }).unwrap();
    let fault = client.direct("revoke user:u1", &directive(), "k1").await.unwrap_err();
    assert_eq!((fault.exit().code(), fault.code()), (1, "unreachable"));
    assert!(fault.to_string().contains("connection refused; nothing was sent"), "{fault}");
}

#[tokio::test]
async fn something_else_on_the_port_is_named_as_such() {
    let (client, _server) = scripted(&[(404, "<html>")]);
    let error = client.get(&["v1", "agents"], &[]).await.unwrap_err();
    assert!(error.to_string().contains("no rescind controller"), "{error}");
    let (client, _server) = scripted(&[(200, "<html>")]);
    assert!(matches!(client.get(&["v1", "agents"], &[]).await, Err(ClientError::Unusable { .. })));
}

#[tokio::test]
async fn lists_are_read_page_by_page_up_to_the_limit() {
    let (client, server) = scripted(&[
        (200, r#"{"records":[{"id":"deny-1-1"},{"id":"deny-1-2"}],"next":"deny-1-2"}"#),
        (200, r#"{"records":[{"id":"deny-1-3"}],"next":null}"#),
    ]);
    let (rows, next) = client.list("records", &[("target", "user:a b#c&d")], 10).await.unwrap();
    assert_eq!((rows.len(), next), (3, Value::Null));
    let seen = server.join().unwrap();
    assert!(
        seen[0].starts_with("GET /v1/records?target=user%3Aa+b%23c%26d&limit=10 HTTP/1.1"),
        "{}",
        seen[0]
    );
    assert!(seen[1].contains("limit=8&after=deny-1-2"), "{}", seen[1]);
}

#[test]
fn loopback_is_an_address_or_localhost() {
    let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
    assert!(is("http://127.0.0.1:1") && is("http://[::1]:1") && is("http://localhost"));
    assert!(!is("http://10.0.0.1") && !is("http://localhost.example"));
}
