use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::wait::SOON;

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    address
}

async fn ask(stream: &mut TcpStream, wait: Duration) -> Option<u8> {
    stream.write_all(&[7]).await.ok()?;
    timeout(wait, stream.read_u8()).await.ok()?.ok()
}

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn an_open_link_passes_and_a_black_hole_keeps_bytes_for_later() {
    let proxy = FaultProxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, SOON).await, Some(7));
    for mode in [LinkMode::BlackHole, LinkMode::DeafClient, LinkMode::MuteClient] {
        proxy.set(mode);
        assert_eq!(ask(&mut stream, SHORT).await, None, "{mode:?}");
        proxy.heal();
        assert_eq!(timeout(SOON, stream.read_u8()).await.unwrap().unwrap(), 7, "{mode:?}");
    }
}

#[tokio::test]
async fn a_cut_tears_down_and_refuses_until_it_is_healed() {
    let proxy = FaultProxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, SOON).await, Some(7));
    proxy.set(LinkMode::Cut);
    assert!(timeout(SOON, stream.read_u8()).await.unwrap().is_err());
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut refused, SOON).await, None);
    proxy.heal();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, SOON).await, Some(7));
}
