//! What a realm is to hold, checked as a whole: every mistake is reported at once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use rescind_bus::Subjects;
use rescind_core::lease::{LEASE_MAX, LEASE_MIN};
use rescind_token::{Algorithm, IssuerPolicyInput, JwksSource, KeySet, TrustConfig, TrustConfigInput};

use crate::args::value::{AgentSpec, EmitterSpec};
use crate::args::{IssuerArgs, NewArgs, agent_spec, emitter_spec};
use crate::fault::Fault;
use crate::settings::plain;

/// Emitters without `--emitter`: incident response may do everything, human resources what a leaver needs.
const EMITTERS_DEFAULT: [&str; 2] = ["ir:all:16", "hr:disable,reinstate,grant,withdraw:5"];

/// Algorithms without `--algorithm`: what nearly every issuer signs with.
const ALGORITHMS_DEFAULT: [&str; 2] = ["RS256", "ES256"];

/// From the port of the API to that of the direct path: 7420 and 7422.
const DIRECT_PORT_STEP: u16 = 2;

/// Name of the controller in a new realm.
pub(super) const CONTROLLER: &str = "c1";

/// A realm to make.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Its name.
    pub(crate) realm: String,
    /// Enforcement points, possibly none.
    pub(crate) agents: Vec<AgentSpec>,
    /// Who may send directives; never empty. The CLI acts as the first.
    pub(crate) emitters: Vec<EmitterSpec>,
    /// Issuers that the agents trust, possibly none.
    pub(crate) issuers: Vec<IssuerPlan>,
    /// Where the NATS server is.
    pub(crate) nats_url: String,
    /// Where the controller listens.
    pub(crate) listen: SocketAddr,
    /// The direct path; `None`: agents have the bus alone.
    pub(crate) direct: Option<DirectPlan>,
    /// Length of the lease, and of the agents' strict policy.
    pub(crate) lease: Duration,
}

/// Where agents reach the controller without the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectPlan {
    /// Where the controller listens; the port is not 0.
    pub(crate) listen: SocketAddr,
}

impl DirectPlan {
    /// Two ports after the API's; none where the system is to choose, since nobody could be told.
    fn beside(listen: SocketAddr) -> Option<Self> {
        let port = listen.port().checked_add(DIRECT_PORT_STEP).filter(|_| listen.port() != 0)?;
        Some(Self { listen: SocketAddr::new(listen.ip(), port) })
    }

    fn parse(text: &str, listen: SocketAddr) -> Result<Option<Self>, String> {
        match text {
            "off" => Ok(None),
            "auto" => Ok(Self::beside(listen)),
            text => match text.parse::<SocketAddr>() {
                Ok(listen) if listen.port() != 0 => Ok(Some(Self { listen })),
                Ok(_) | Err(_) => Err(format!(
                    "--direct-listen `{text}`: write an address with a port, `0.0.0.0:7422`, or `off`"
                )),
            },
        }
    }

    /// Where agents on this machine find it; others need its name or address here.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", reachable(self.listen))
    }
}

/// Why: "every address" is where to listen, not where to connect to.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

/// Where keys come from, as the agents' configuration writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Jwks {
    /// `https://...`, or `http://` on loopback.
    Url(String),
    /// A file, absolute.
    File(PathBuf),
}

/// An issuer that agents trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerPlan {
    /// Exact `iss`.
    pub(crate) issuer: String,
    /// Its keys.
    pub(crate) jwks: Jwks,
    /// Accepted algorithms.
    pub(crate) algorithms: Vec<String>,
    /// Our names in `aud`; empty: the agent's service.
    pub(crate) audiences: Vec<String>,
}

impl Plan {
    /// Checks what was typed.
    ///
    /// # Errors
    /// Usage, with every mistake.
    pub(crate) fn from_args(args: &NewArgs) -> Result<Self, Fault> {
        let mut mistakes = Vec::new();
        let agents = sorted(args.agents.iter().map(|text| agent_spec(text)), &mut mistakes);
        let defaults = || EMITTERS_DEFAULT.map(str::to_owned).to_vec();
        let emitters = if args.emitters.is_empty() { defaults() } else { args.emitters.clone() };
        let emitters = sorted(emitters.iter().map(|text| emitter_spec(text)), &mut mistakes);
        let issuers = issuers(&args.issuer, &mut mistakes);
        let direct = DirectPlan::parse(&args.direct_listen, args.listen);
        let direct = direct.unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            None
        });
        let plan = Self {
            realm: args.realm.clone(),
            agents,
            emitters,
            issuers,
            nats_url: args.nats_url.clone(),
            listen: args.listen,
            direct,
            lease: args.lease,
        };
        plan.check(&mut mistakes);
        all_or_nothing(plan, "making a realm", &mistakes)
    }

    fn check(&self, mistakes: &mut Vec<String>) {
        mistakes.extend(Subjects::new(&self.realm).err().map(|error| format!("--realm: {error}")));
        mistakes.extend(check_nats_url(&self.nats_url).err());
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease) {
            let (least, most) = (LEASE_MIN.as_secs(), LEASE_MAX.as_secs());
            mistakes.push(format!(
                "--lease: it must be {least}s to {most}s; short is safe, long survives outages"
            ));
        }
        let mut names = BTreeSet::from([CONTROLLER]);
        let emitters = self.emitters.iter().map(|emitter| emitter.name.as_str());
        for name in self.agents.iter().map(|agent| agent.id.as_str()).chain(emitters) {
            if !names.insert(name) {
                mistakes.push(format!(
                    "`{name}` is used twice; agents, emitters and the controller `{CONTROLLER}` each need a name of \
                     their own"
                ));
            }
        }
        // Why: the name becomes a part of subjects.
        for emitter in &self.emitters {
            mistakes.extend(check_token(emitter.name.as_str()).err().map(|why| format!("--emitter: {why}")));
        }
    }
}

/// Checks the issuer that was typed, for one more agent.
///
/// # Errors
/// Usage, with every mistake.
pub(super) fn issuers_from(args: &IssuerArgs) -> Result<Vec<IssuerPlan>, Fault> {
    let mut mistakes = Vec::new();
    let issuers = issuers(args, &mut mistakes);
    all_or_nothing(issuers, "enrolling an agent", &mistakes)
}

fn all_or_nothing<T>(value: T, attempt: &str, mistakes: &[String]) -> Result<T, Fault> {
    match mistakes {
        [] => Ok(value),
        [one] => Err(Fault::usage(format!("{attempt}: {one}; nothing was changed"))),
        all => Err(Fault::usage(format!(
            "{attempt}: {} mistakes, nothing was changed:\n  - {}",
            all.len(),
            all.join("\n  - ")
        ))),
    }
}

fn sorted<T>(parsed: impl Iterator<Item = Result<T, String>>, mistakes: &mut Vec<String>) -> Vec<T> {
    parsed.filter_map(|result| result.map_err(|mistake| mistakes.push(mistake)).ok()).collect()
}

fn check_token(name: &str) -> Result<(), String> {
    Subjects::new(name).map(|_| ()).map_err(|error| error.to_string().replacen("realm", "name", 1))
}

/// `nats://host:port` or `tls://host:port`; port 4222 without one.
pub(super) fn check_nats_url(text: &str) -> Result<(String, u16), String> {
    let wrong = |why: &str| format!("--nats-url `{text}`: {why}; write `nats://127.0.0.1:4222`");
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "nats" | "tls") {
        return Err(wrong("it begins with neither nats:// nor tls://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must hold no user or password; nkeys prove who is connecting"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?;
    Ok((host.to_owned(), url.port().unwrap_or(4222)))
}

fn issuers(args: &IssuerArgs, mistakes: &mut Vec<String>) -> Vec<IssuerPlan> {
    let extra = !args.audiences.is_empty() || !args.algorithms.is_empty();
    let (issuer, jwks) = match (&args.issuer, &args.jwks) {
        (None, None) if !extra => return Vec::new(),
        (Some(issuer), Some(jwks)) => (issuer, jwks),
        _ => {
            mistakes.push("an issuer needs both --issuer and --jwks".to_owned());
            return Vec::new();
        }
    };
    let jwks = match jwks.starts_with("http://") || jwks.starts_with("https://") {
        true => Jwks::Url(jwks.clone()),
        false => match jwks_file(jwks) {
            Ok(path) => Jwks::File(path),
            Err(mistake) => {
                mistakes.push(mistake);
                return Vec::new();
            }
        },
    };
    let algorithms = match args.algorithms.as_slice() {
        [] => ALGORITHMS_DEFAULT.map(str::to_owned).to_vec(),
        some => some.to_vec(),
    };
    let plan = IssuerPlan { issuer: issuer.clone(), jwks, algorithms, audiences: args.audiences.clone() };
    mistakes.extend(plan.mistakes());
    vec![plan]
}

fn jwks_file(text: &str) -> Result<PathBuf, String> {
    let wrong = |why: String| format!("--jwks `{text}`: {why}; give a URL or a JWKS file");
    let path = std::path::absolute(text).map_err(|error| wrong(plain(&error)))?;
    let bytes = std::fs::read(&path).map_err(|error| wrong(plain(&error)))?;
    KeySet::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(path)
}

impl IssuerPlan {
    fn mistakes(&self) -> Vec<String> {
        let source = match &self.jwks {
            Jwks::Url(url) => JwksSource::Url(url.clone()),
            Jwks::File(path) => JwksSource::File(path.clone()),
        };
        let audiences: Vec<&str> = match self.audiences.as_slice() {
            // Why: the service's name takes this place, agent by agent.
            [] => vec!["service"],
            some => some.iter().map(String::as_str).collect(),
        };
        let mut input = IssuerPolicyInput::new(&self.issuer, source, &[Algorithm::Rs256], &audiences);
        input.algorithms = self.algorithms.clone();
        let checked = TrustConfig::try_from(TrustConfigInput { issuers: vec![input] });
        let problems = checked.err().map(|error| error.problems).unwrap_or_default();
        problems.iter().map(|problem| problem.to_string().replace("issuers[0].", "")).collect()
    }
}
