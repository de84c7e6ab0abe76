//! From a table to a configuration that can be used.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{ClientCertificate, Replicas, Secret, Subjects};
use rescind_codec::{RealmPin, Role, SecretKey, TrustBundle};
use rescind_core::controller::quota::Budget;
use rescind_core::controller::registry::Retention;
use rescind_core::controller::rights::{Rights, Word, WordSet};
use rescind_core::ids::{ControllerId, EmitterId};
use rescind_core::lease::{LEASE_DEFAULT, LEASE_MAX, LEASE_MIN};
use rescind_core::target::TargetKind;
use rescind_core::text::check_id;
use toml::Table;

use super::table::{Mistakes, Section};
use super::{
    ArchiveOptions, ConfigError, ControllerConfig, DirectOptions, EmitterConfig, NatsOptions,
    SNAPSHOT_EVERY_DEFAULT, SNAPSHOT_KEEP_DEFAULT, StreamOptions,
};
use crate::clock;
use crate::direct::{TlsMistake, load};

/// Limit: bytes of a file that the configuration names; a trust bundle of 100,000 agents fits.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Limit: emitters of the HTTP API; every request compares against all of them.
const EMITTERS_MAX: usize = 256;

pub(super) fn check(table: Table, folder: &Path) -> Result<ControllerConfig, ConfigError> {
    let mut mistakes = Mistakes::default();
    let m = &mut mistakes;
    let mut top = Section::new("", table);
    let controller_id = top
        .required("controller_id", "c1", m)
        .and_then(|text| m.take("controller_id", ControllerId::new(&text)));
    let listen = top.required("listen", "127.0.0.1:7420", m).and_then(|text| {
        let parsed = text.parse();
        m.take(
            "listen",
            parsed.map_err(|_| format!("`{text}` is no address; write `127.0.0.1:7420` or `[::1]:7420`")),
        )
    });
    let address_file = top.text("address_file", m).map(|path| folder.join(path));
    let pin = file(&mut top, "realm_file", "realm.json", folder, m)
        .and_then(|text| m.take("realm_file", RealmPin::parse(&text)));
    let bundle = file(&mut top, "trust_file", "trust.json", folder, m);
    let trust = match (&pin, bundle) {
        (Some(pin), Some(json)) => m.take("trust_file", TrustBundle::load(&json, pin)),
        _ => None,
    };
    let key = file(&mut top, "key_file", "secrets/controller.key", folder, m)
        .and_then(|text| m.take("key_file", SecretKey::parse(&text)));
    let data_dir = top.required("data_dir", "data/controller", m).map(|path| folder.join(path));
    let default_issuer = default_issuer(&mut top, m);
    let lease = lease(&mut top, m);
    let snapshot_every = top.number("snapshot_every", m).unwrap_or(SNAPSHOT_EVERY_DEFAULT);
    let snapshot_keep = snapshot_keep(&mut top, m);
    let snapshot_archive = archive(&mut top, folder, m);
    let retention = retention(&mut top, m);
    let nats = nats(&mut top, folder, m);
    let stream = stream(&mut top, m);
    let emitters = emitters(&mut top, m);
    let direct = direct(&mut top, folder, m);
    top.finish(m);
    if let Some(pin) = &pin {
        m.take("realm_file", Subjects::new(&pin.realm));
    }
    certified(controller_id.as_ref(), trust.as_ref(), key.as_ref(), m);
    match (controller_id, listen, pin, trust, key, data_dir, nats) {
        (
            Some(controller_id),
            Some(listen),
            Some(pin),
            Some(trust),
            Some(key),
            Some(data_dir),
            Some(nats),
        ) if mistakes.0.is_empty() => Ok(ControllerConfig {
            controller_id,
            listen,
            address_file,
            pin,
            trust: Arc::new(trust),
            key: Arc::new(key),
            data_dir,
            default_issuer,
            lease,
            nats,
            stream,
            emitters,
            direct,
            snapshot_every,
            snapshot_keep,
            snapshot_archive,
            retention,
        }),
        _ => Err(ConfigError::Mistakes(mistakes.0)),
    }
}

fn default_issuer(top: &mut Section, m: &mut Mistakes) -> Option<Box<str>> {
    let issuer = top.text("default_issuer", m)?;
    m.take("default_issuer", check_id("issuer", &issuer)).map(|()| issuer.into_boxed_str())
}

fn lease(top: &mut Section, m: &mut Mistakes) -> Duration {
    let lease = top.duration("lease", m).unwrap_or(LEASE_DEFAULT);
    if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
        m.add("lease", "it must be from 2s (critical) to 30s (relaxed)");
    }
    lease
}

fn snapshot_keep(top: &mut Section, m: &mut Mistakes) -> usize {
    let keep = top.number("snapshot_keep", m).unwrap_or(SNAPSHOT_KEEP_DEFAULT);
    if !(2..=100).contains(&keep) {
        m.add("snapshot_keep", "it must be from 2 to 100");
    }
    usize::try_from(keep).unwrap_or(2)
}

/// The contents of a file that must be named and there.
fn file(
    top: &mut Section,
    key: &'static str,
    example: &str,
    folder: &Path,
    m: &mut Mistakes,
) -> Option<String> {
    let path = folder.join(top.required(key, example, m)?);
    let mut text = String::new();
    let read = fs::File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Some(text),
        Err(error) => {
            m.add(key, format!("cannot read `{}`: {}; check path and rights", path.display(), error.kind()));
            None
        }
    }
}

/// The key must be this controller's, by the trust bundle, now.
fn certified(
    id: Option<&ControllerId>,
    trust: Option<&TrustBundle>,
    key: Option<&SecretKey>,
    m: &mut Mistakes,
) {
    let (Some(id), Some(trust), Some(key)) = (id, trust, key) else { return };
    match trust.find(key.key_id(), Role::Controller, clock::wall()) {
        Ok(cert) if cert.identity.name() == id.as_str() => {}
        Ok(cert) => m.add(
            "controller_id",
            format!(
                "the key in `key_file` is certified as controller `{}`; write that name",
                cert.identity.name()
            ),
        ),
        Err(error) => m.add("key_file", format!("the key cannot be used: {error}")),
    }
}

fn nats(top: &mut Section, folder: &Path, m: &mut Mistakes) -> Option<NatsOptions> {
    let Some(mut nats) = top.section("nats", m) else {
        m.add("nats", "it is missing; write a section `[nats]` with `url = \"nats://127.0.0.1:4222\"`");
        return None;
    };
    let mut urls = nats.texts("urls", m).unwrap_or_default();
    urls.extend(nats.text("url", m));
    if urls.is_empty() {
        m.add("nats.url", "it is missing; write for example `url = \"nats://127.0.0.1:4222\"`");
    }
    for url in &urls {
        if !["nats://", "tls://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
            m.add("nats.url", "an address must be `nats://host:port` or `tls://host:port`");
        }
    }
    let mut path = |key, m: &mut Mistakes| nats.text(key, m).map(|path| folder.join(path));
    let nkey_file = path("nkey_file", m);
    let ca_file = path("ca_file", m);
    let cert_file = path("cert_file", m);
    let client_key_file = path("client_key_file", m);
    nats.finish(m);
    if let Some(file) = &nkey_file {
        m.take("nats.nkey_file", Secret::from_file(file));
    }
    for (field, file) in [
        ("nats.ca_file", &ca_file),
        ("nats.cert_file", &cert_file),
        ("nats.client_key_file", &client_key_file),
    ] {
        exists(field, file.as_ref(), m);
    }
    let client_certificate = match (cert_file, client_key_file) {
        (Some(certificate_file), Some(key_file)) => Some(ClientCertificate { certificate_file, key_file }),
        (None, None) => None,
        (Some(_), None) => {
            m.add("nats.client_key_file", "`cert_file` needs its key; give both or none");
            None
        }
        (None, Some(_)) => {
            m.add("nats.cert_file", "`client_key_file` needs its certificate; give both or none");
            None
        }
    };
    Some(NatsOptions { urls, nkey_file, ca_file, client_certificate })
}

fn direct(top: &mut Section, folder: &Path, m: &mut Mistakes) -> Option<DirectOptions> {
    let mut direct = top.section("direct", m)?;
    let listen = direct.required("listen", "0.0.0.0:7422", m).and_then(|text| {
        let parsed = text.parse();
        m.take("direct.listen", parsed.map_err(|_| format!("`{text}` is no address; write `0.0.0.0:7422`")))
    });
    let address_file = direct.text("address_file", m).map(|path| folder.join(path));
    let certificate = direct.required("cert_file", "direct/controller.pem", m).map(|path| folder.join(path));
    let key = direct.required("key_file", "secrets/direct-controller.key", m).map(|path| folder.join(path));
    direct.finish(m);
    let tls = match load(&certificate?, &key?) {
        Ok(tls) => tls,
        Err(TlsMistake::Certificate(advice)) => {
            m.add("direct.cert_file", advice);
            return None;
        }
        Err(TlsMistake::Key(advice)) => {
            m.add("direct.key_file", advice);
            return None;
        }
    };
    Some(DirectOptions { listen: listen?, address_file, tls })
}

fn exists(field: &str, file: Option<&PathBuf>, m: &mut Mistakes) {
    if let Some(file) = file.filter(|file| !file.is_file()) {
        m.add(field, format!("there is no file `{}`; correct the path", file.display()));
    }
}

fn stream(top: &mut Section, m: &mut Mistakes) -> StreamOptions {
    let mut options = StreamOptions { replicas: Replicas::One, max_age: None, max_bytes: None };
    let Some(mut stream) = top.section("stream", m) else { return options };
    match stream.number("replicas", m) {
        None | Some(1) => {}
        Some(3) => options.replicas = Replicas::Three,
        Some(other) => m.add("stream.replicas", format!("{other} is not possible; write 1 or 3")),
    }
    options.max_age = stream.duration("max_age", m);
    if options.max_age.is_some_and(|age| age.as_secs() < 3600) {
        m.add("stream.max_age", "it must be at least `1h`; leave it out to keep everything");
    }
    options.max_bytes = stream.number("max_bytes", m).filter(|bytes| *bytes > 0);
    stream.finish(m);
    options
}

fn emitters(top: &mut Section, m: &mut Mistakes) -> Vec<EmitterConfig> {
    let mut emitters: Vec<EmitterConfig> = Vec::new();
    let sections = top.sections("emitters", m);
    if sections.len() > EMITTERS_MAX {
        m.add("emitters", format!("there are {}; the limit is {EMITTERS_MAX}", sections.len()));
    }
    for section in sections {
        let (name_field, token_field) = (section.path("name"), section.path("token_sha256"));
        let Some(emitter) = emitter(section, m) else { continue };
        if emitters.iter().any(|other| other.name == emitter.name) {
            m.add(name_field, format!("`{}` is there twice; give each emitter its own name", emitter.name));
        }
        if emitters.iter().any(|other| other.token_sha256 == emitter.token_sha256) {
            m.add(token_field, "another emitter has the same token; give each its own");
        }
        emitters.push(emitter);
    }
    emitters
}

fn emitter(mut section: Section, m: &mut Mistakes) -> Option<EmitterConfig> {
    let (name_field, token_field) = (section.path("name"), section.path("token_sha256"));
    let (allow_field, rung_field) = (section.path("allow"), section.path("rung_max"));
    let name = section.required("name", "hr", m).and_then(|text| m.take(&name_field, EmitterId::new(&text)));
    let token = section.required("token_sha256", "64 hexadecimal digits", m).and_then(|text| {
        let mut sha256 = [0; 32];
        // Why not the text itself: somebody may have put the token there.
        let decoded = hex::decode_to_slice(text.trim(), &mut sha256);
        m.take(
            &token_field,
            decoded.map_err(|_| "it must be the 64 hexadecimal digits of the token's SHA-256"),
        )
        .map(|()| sha256)
    });
    let mut words = WordSet::new();
    let allow = section.texts("allow", m);
    if allow.as_ref().is_none_or(Vec::is_empty) {
        m.add(&allow_field, "it is missing; write for example `allow = [\"revoke\", \"hold\", \"lift\"]`");
    }
    for word in allow.unwrap_or_default() {
        match Word::from_word(&word) {
            Some(word) => words = words.with(word),
            None => {
                let known = Word::ALL.map(Word::word).join(", ");
                m.add(&allow_field, format!("`{word}` is no command; known are {known}"));
            }
        }
    }
    let widest = TargetKind::All.rung();
    let rung_max = match section.number("rung_max", m).map(u8::try_from) {
        Some(Ok(rung)) if rung <= widest => rung,
        None => 0,
        Some(_) => {
            m.add(&rung_field, format!("it must be from 0 (no records) to {widest} (everything)"));
            0
        }
    };
    let budget = budget(&mut section, m);
    section.finish(m);
    Some(EmitterConfig { name: name?, token_sha256: token?, rights: Rights { words, rung_max }, budget })
}

/// `per_minute` and, if it is there, `burst`.
fn budget(section: &mut Section, m: &mut Mistakes) -> Option<Budget> {
    let (rate_field, burst_field) = (section.path("per_minute"), section.path("burst"));
    let mut number = |key, field: &str, m: &mut Mistakes| {
        let number = section.number(key, m)?;
        let fits = u32::try_from(number).ok().filter(|number| *number > 0);
        if fits.is_none() {
            m.add(field, format!("it must be from 1 to {}; leave it out for no limit", u32::MAX));
        }
        fits
    };
    let per_minute = number("per_minute", &rate_field, m);
    let burst = number("burst", &burst_field, m);
    if per_minute.is_none() && burst.is_some() {
        m.add(&burst_field, "it needs `per_minute`; give both or none");
    }
    let per_minute = per_minute?;
    Some(Budget { per_minute, burst: burst.unwrap_or(per_minute) })
}

fn archive(top: &mut Section, folder: &Path, m: &mut Mistakes) -> Option<ArchiveOptions> {
    let dir = top.text("snapshot_archive_dir", m).map(|path| folder.join(path));
    let every = top.number("snapshot_archive_every", m);
    if every == Some(0) {
        m.add(
            "snapshot_archive_every",
            "it must be at least 1; leave `snapshot_archive_dir` out for no copies",
        );
    }
    if dir.is_none() && every.is_some() {
        m.add("snapshot_archive_every", "it needs `snapshot_archive_dir`; give both or none");
    }
    Some(ArchiveOptions { dir: dir?, every: every.unwrap_or(1).max(1) })
}

/// Longest lifetime that can be declared: a year. What lives longer is as good as for ever.
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 86_400);

fn retention(top: &mut Section, m: &mut Mistakes) -> Retention {
    let mut retention = Retention::default();
    for mut section in top.sections("issuers", m) {
        let (issuer_field, life_field) = (section.path("issuer"), section.path("token_lifetime_max"));
        let issuer = section.required("issuer", "https://idp.example", m);
        let issuer = issuer.and_then(|text| m.take(&issuer_field, check_id("issuer", &text)).map(|()| text));
        let lifetime = section.duration("token_lifetime_max", m);
        section.finish(m);
        match lifetime {
            Some(lifetime) if (Duration::from_secs(1)..=LIFETIME_MAX).contains(&lifetime) => {
                issuer.into_iter().for_each(|issuer| retention.declare(&issuer, lifetime));
            }
            Some(_) => m.add(&life_field, "it must be from `1s` to `366d`"),
            None => m.add(&life_field, "it is missing; write for example `token_lifetime_max = \"1h\"`"),
        }
    }
    retention
}
