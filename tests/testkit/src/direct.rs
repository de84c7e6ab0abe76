//! Certificates of the direct path, and a server in the middle that has everything but the realm's keys.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        version::TLS13,
    },
};

use crate::error::{KitError, KitResult};

/// The name in certificates of controllers.
pub(crate) const SERVER_NAME: &str = "rescind-controller";

/// Limit: bytes of a request that the server in the middle reads.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Writes `ca.pem`, `controller.pem` and `controller.key` of a new authority into `folder`.
///
/// # Errors
/// They cannot be made or written.
pub fn write_certificates(folder: &Path) -> KitResult {
    let made = make().map_err(KitError::because("make certificates"))?;
    fs::create_dir_all(folder).map_err(KitError::because("make the folder of the direct path"))?;
    for (name, text) in ["ca.pem", "controller.pem", "controller.key"].into_iter().zip(made) {
        fs::write(folder.join(name), text).map_err(KitError::because(format!("write {name}")))?;
    }
    Ok(())
}

fn make() -> Result<[String; 3], rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = ca.self_signed(&ca_key)?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
    let own = own.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
    Ok([certificate.pem(), own.pem(), key.serialize_pem()])
}

/// A TLS server with certificates of a folder that answers every request with the same bytes.
#[derive(Debug)]
pub struct Impostor {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Impostor {
    /// Starts it with `controller.pem` and `controller.key` of `folder`; every answer is `200` with `body`.
    ///
    /// # Errors
    /// The files, or no free port.
    pub async fn start(folder: &Path, body: Vec<u8>) -> KitResult<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(folder)?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(KitError::because("listen for an impostor"))?;
        let address = listener.local_addr().map_err(KitError::because("read the impostor's address"))?;
        let answered = Arc::new(AtomicU64::new(0));
        let (count, body) = (Arc::clone(&answered), Arc::new(body));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, body, count) = (acceptor.clone(), Arc::clone(&body), Arc::clone(&count));
                connections.spawn(async move { answer(stream, acceptor, &body, &count).await });
            }
        });
        Ok(Self { address, answered, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that came through TLS and were answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tls(folder: &Path) -> KitResult<ServerConfig> {
    let wrong = || KitError::because("read the impostor's certificate");
    let certificate = CertificateDer::from_pem_file(folder.join("controller.pem")).map_err(wrong())?;
    let key = PrivateKeyDer::from_pem_file(folder.join("controller.key")).map_err(wrong())?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = builder
        .with_protocol_versions(&[&TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key));
    config.map_err(KitError::because("use the impostor's certificate"))
}

/// One request, one answer, the end.
async fn answer(stream: TcpStream, acceptor: TlsAcceptor, body: &[u8], answered: &AtomicU64) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut request = Vec::new();
    while whole(&request).is_none_or(|whole| !whole) && request.len() < REQUEST_BYTES_MAX {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        stream.shutdown().await
    };
    if sent.await.is_ok() {
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether head and body are there; `None` without a whole head.
fn whole(request: &[u8]) -> Option<bool> {
    let end = request.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(request.get(..end)?).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some(request.len() >= end + 4 + length.unwrap_or(0))
}
