//! Certificate and key of the direct path.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads both PEM files. TLS 1.3 alone: both ends are ours.
///
/// # Errors
/// What is wrong and what to do, for the configuration's list of mistakes: first the certificate's, then the key's.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsMistake> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|error| {
        let path = certificate.display();
        TlsMistake::Certificate(format!(
            "cannot read `{path}`: {error}; name a PEM file with the certificate"
        ))
    })?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        TlsMistake::Key(format!("cannot read `{}`: {error}; name a PEM file with the key", key.display()))
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key));
    let mut config = config.map_err(|error| {
        TlsMistake::Certificate(format!(
            "certificate and key cannot be used: {error}; make them anew as a pair"
        ))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What is wrong with the files.
#[derive(Debug)]
pub(crate) enum TlsMistake {
    Certificate(String),
    Key(String),
}
