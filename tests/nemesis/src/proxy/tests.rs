use std::time::Duration;

use rescind_testkit::{KitError, KitResult};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use super::*;

/// A client and a server with the link between them.
struct Pair {
    link: Link,
    client: TcpStream,
    server: TcpStream,
}

async fn pair() -> KitResult<Pair> {
    let failed = || KitError::because("make a pair");
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed())?;
    let link = Link::start(vec![listener.local_addr().map_err(failed())?], Dice::new(7)).await?;
    let client = TcpStream::connect(link.address()).await.map_err(failed())?;
    let (server, _) = listener.accept().await.map_err(failed())?;
    let mut pair = Pair { link, client, server };
    // Why: a mode is for connections that the link knows.
    pair.send(1).await?;
    assert_eq!(pair.receive(frame(1).len()).await?, frame(1));
    Ok(pair)
}

fn frame(number: u32) -> Vec<u8> {
    format!("PUB log 6\r\n{number:06}\r\n").into_bytes()
}

impl Pair {
    async fn send(&mut self, number: u32) -> KitResult {
        self.client.write_all(&frame(number)).await.map_err(KitError::because("send"))
    }

    async fn receive(&mut self, count: usize) -> KitResult<Vec<u8>> {
        let mut bytes = vec![0; count];
        let read = timeout(Duration::from_secs(5), self.server.read_exact(&mut bytes)).await;
        read.map_err(KitError::because("wait"))?.map_err(KitError::because("receive"))?;
        Ok(bytes)
    }

    /// Whether nothing arrives for a while.
    async fn is_silent(&mut self) -> bool {
        let mut byte = [0; 1];
        timeout(Duration::from_millis(120), self.server.read(&mut byte)).await.is_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_keeps_everything_and_gives_it_back() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::BlackHole);
    pair.send(2).await?;
    assert!(pair.is_silent().await);
    pair.link.set(Mode::Open);
    assert_eq!(pair.receive(frame(2).len()).await?, frame(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_comes_in_order_and_late() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::Late(Duration::from_millis(150)));
    let sent = Instant::now();
    pair.send(2).await?;
    pair.send(3).await?;
    assert_eq!(pair.receive(frame(2).len() * 2).await?, [frame(2), frame(3)].concat());
    assert!(sent.elapsed() >= Duration::from_millis(150));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_reordered_messages_stay_whole() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::Repeated);
    pair.send(2).await?;
    assert_eq!(pair.receive(frame(2).len() * 2).await?, [frame(2), frame(2)].concat());
    pair.link.set(Mode::Reordered);
    let mut all = Vec::new();
    for number in 0..60 {
        pair.send(number).await?;
    }
    for _ in 0..60 {
        all.push(pair.receive(frame(0).len()).await?);
    }
    let sent: Vec<Vec<u8>> = (0..60).map(frame).collect();
    assert_ne!(all, sent, "nothing was overtaken");
    all.sort();
    assert_eq!(all, sent);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lossy_link_loses_some_whole_messages() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::Lossy(50));
    for number in 0..40 {
        pair.send(number).await?;
    }
    let mut got = Vec::new();
    while !pair.is_silent_after(&mut got).await {}
    assert_eq!(got.len() % frame(0).len(), 0);
    assert!(pair.link.hurt() > 0 && !got.is_empty());
    Ok(())
}

impl Pair {
    /// Reads what is there; true once nothing comes any more.
    async fn is_silent_after(&mut self, into: &mut Vec<u8>) -> bool {
        let mut bytes = [0; 512];
        match timeout(Duration::from_millis(200), self.server.read(&mut bytes)).await {
            Ok(Ok(count @ 1..)) => into.extend_from_slice(&bytes[..count]),
            _ => return true,
        }
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_message_arrives_half_and_then_the_end() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::TornInFrame);
    pair.send(2).await?;
    let mut got = Vec::new();
    let end = timeout(Duration::from_secs(5), pair.server.read_to_end(&mut got)).await;
    assert!(end.is_ok());
    assert_eq!(got, frame(2)[..frame(2).len() / 2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_link_ends_one_direction_only() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::HalfClosed);
    let mut byte = [0; 1];
    let end = timeout(Duration::from_secs(5), pair.client.read(&mut byte)).await;
    assert_eq!(end.map_err(KitError::because("wait"))?.map_err(KitError::because("read"))?, 0);
    pair.send(2).await?;
    assert_eq!(pair.receive(frame(2).len()).await?, frame(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_connection_is_dead_and_silent_and_a_new_one_works() -> KitResult {
    let mut pair = pair().await?;
    pair.link.set(Mode::Forgotten);
    pair.send(2).await?;
    assert!(pair.is_silent().await);
    pair.link.set(Mode::Open);
    assert!(pair.is_silent().await, "a forgotten connection never comes back");
    assert!(TcpStream::connect(pair.link.address()).await.is_ok());
    Ok(())
}
