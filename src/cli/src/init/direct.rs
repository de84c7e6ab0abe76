//! Certificates of the direct path: an authority of this realm alone, and one certificate of its controllers.
//!
//! Why not the realm's own keys: TLS libraries take X.509. What agents believe is still what the realm's keys signed;
//! these certificates only hide it on the way.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::files::Folder;
use super::plan::DirectPlan;
use crate::fault::Fault;

/// The name in every controller's certificate, which agents check whatever the address is.
pub(super) const SERVER_NAME: &str = "rescind-controller";
/// The authority's certificate; agents trust it and no other.
pub(super) const CA_FILE: &str = "direct/ca.pem";
/// The controller's certificate.
pub(super) const CERT_FILE: &str = "direct/controller.pem";
/// Its key.
pub(super) const KEY_FILE: &str = "secrets/direct-controller.key";
/// The authority's key: for certificates of further controllers, offline otherwise, like the root.
const CA_KEY_FILE: &str = "secrets/direct-ca.key";

/// Limit: how long the certificates are good, in years; as long as those of the realm.
const LIFETIME_YEARS: i32 = 10;

/// Makes and writes all four.
pub(super) fn write(folder: &Folder, realm: &str, plan: &DirectPlan) -> Result<(), Fault> {
    let made = make(realm, plan).map_err(|error| {
        Fault::internal("direct", format!("cannot make certificates of the direct path: {error}"))
    })?;
    folder.dir("direct")?;
    folder.public(CA_FILE, &made.ca)?;
    folder.public(CERT_FILE, &made.certificate)?;
    folder.secret(CA_KEY_FILE, &made.ca_key)?;
    folder.secret(KEY_FILE, &made.key)
}

/// PEM texts.
struct Made {
    ca: String,
    ca_key: String,
    certificate: String,
    key: String,
}

fn make(realm: &str, plan: &DirectPlan) -> Result<Made, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = params(Vec::new(), &format!("Rescind direct path of {realm}"))?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;
    let key = KeyPair::generate()?;
    let mut names = vec![SERVER_NAME.to_owned(), "localhost".to_owned()];
    let ip = plan.listen.ip();
    if !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    let mut own = params(names, SERVER_NAME)?;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_params(&ca, &ca_key);
    let certificate = own.signed_by(&key, &issuer)?;
    Ok(Made {
        ca: ca_certificate.pem(),
        ca_key: ca_key.serialize_pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let year = i32::from(TimeZone::UTC.to_datetime(Timestamp::now()).year());
    // Why whole years: a clock that is a little behind must accept a certificate of just now.
    params.not_before = date_time_ymd(year.saturating_sub(1), 1, 1);
    params.not_after = date_time_ymd(year.saturating_add(LIFETIME_YEARS), 12, 31);
    Ok(params)
}
