//! The direct path: lease requests, ranges and reports over TLS, so that agents need the broker for nothing that
//! keeps them fresh. The messages are those of the bus, signed in the same way: TLS hides them and keeps strangers
//! out, it vouches for nothing. A grant still needs a tick that the broker stored; see docs/direct.md.
//!
//! Everything is bounded before it is read: bytes, time, requests of one address and of one agent.

mod listen;
mod rate;
mod tls;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use rescind_codec::{LEASE_REQUEST_BYTES_MAX, REPORT_BYTES_MAX, REQUEST_BYTES_MAX, decode_repair};
use rescind_core::ids::AgentId;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

pub(crate) use self::listen::DirectServer;
use self::rate::{Buckets, Rate};
pub(crate) use self::tls::{TlsMistake, load};
use crate::clock;
use crate::grants::LeaseReply;
use crate::leases::Agents;
use crate::repair::Repair;

/// Limit: reading one body.
const BODY_WAIT: Duration = Duration::from_secs(3);
/// Limit: a lease request waits so long for the next tick. Its anchor ages meanwhile, so waiting longer gives less.
const LEASE_WAIT: Duration = Duration::from_secs(2);
/// Limit: ranges under way at once. Why so few: each holds up to 8 MiB, and the disk is one.
const RANGES_MAX: usize = 4;
/// Limit: a range waits so long for its turn.
const RANGE_WAIT: Duration = Duration::from_secs(2);
/// Limit: requests of one address. Hundreds of agents on one machine renew within it.
const ADDRESS_RATE: Rate = Rate { per_second: 500, burst: 2000 };
/// Limit: verified requests of one agent: four times what it asks for at the shortest lease.
const AGENT_RATE: Rate = Rate { per_second: 20, burst: 40 };

/// Serves the routes; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DirectDoor {
    agents: Agents,
    repair: Repair,
    metrics: Arc<ControllerMetrics>,
    ranges: Arc<Semaphore>,
    addresses: Arc<Buckets<IpAddr>>,
    names: Arc<Buckets<AgentId>>,
}

/// A request that is not served: status and a text for people.
type Refused = (StatusCode, String);

type Answer = Response<Full<Bytes>>;

impl DirectDoor {
    pub(crate) fn new(agents: Agents, repair: Repair, metrics: Arc<ControllerMetrics>) -> Self {
        Self {
            agents,
            repair,
            metrics,
            ranges: Arc::new(Semaphore::new(RANGES_MAX)),
            addresses: Arc::new(Buckets::new(ADDRESS_RATE)),
            names: Arc::new(Buckets::new(AGENT_RATE)),
        }
    }

    /// Answers one request.
    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        let route = match request.uri().path() {
            "/direct/v1/lease" => Some(Route::Lease),
            "/direct/v1/repair" => Some(Route::Repair),
            "/direct/v1/report" => Some(Route::Report),
            _ => None,
        };
        let outcome = match route {
            None => refused(StatusCode::NOT_FOUND, "there is no such route; see docs/direct.md"),
            Some(_) if request.method() != Method::POST => {
                refused(StatusCode::METHOD_NOT_ALLOWED, "send it as POST")
            }
            Some(_) if !self.addresses.take(network(peer), clock::now().boot) => {
                refused(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address; slow down")
            }
            Some(route) => self.serve(route, request.into_body()).await,
        };
        let answer = outcome.unwrap_or_else(|(status, text)| refusal(status, &text));
        let name = route.map_or("direct/other", Route::name);
        self.metrics.http(name, answer.status().as_u16());
        answer
    }

    async fn serve(&self, route: Route, body: Incoming) -> Result<Answer, Refused> {
        let body = read(body, route.bytes_max()).await?;
        match route {
            Route::Lease => self.lease(&body).await,
            Route::Repair => self.range(&body).await,
            Route::Report => self.report(&body),
        }
    }

    async fn lease(&self, body: &[u8]) -> Result<Answer, Refused> {
        let request = self.agents.read_lease(body).map_err(forbidden)?;
        self.admit(&request.agent)?;
        let (reply, answer) = oneshot::channel();
        self.agents.take_lease(request, LeaseReply::Direct(reply)).await;
        match timeout(LEASE_WAIT, answer).await {
            Ok(Ok(Ok(grant))) => Ok(octets(grant)),
            Ok(Ok(Err((code, text)))) => {
                Err((StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), text))
            }
            Ok(Err(_)) | Err(_) => refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "no tick was stored in time; ask again with a new nonce, or ask another controller",
            ),
        }
    }

    async fn range(&self, body: &[u8]) -> Result<Answer, Refused> {
        let request = decode_repair(body).map_err(|error| {
            self.metrics.rejected("repair", error.code());
            self.metrics.repair("range", "refused");
            (StatusCode::BAD_REQUEST, error.to_string())
        })?;
        let busy =
            || (StatusCode::SERVICE_UNAVAILABLE, "too many ranges are under way; ask again".to_owned());
        let permit = timeout(RANGE_WAIT, self.ranges.acquire()).await.map_err(|_| busy())?;
        let _permit = permit.map_err(|_| busy())?;
        let Some(entries) = self.repair.read(request).await else {
            self.metrics.repair("range", "failed");
            return refused(StatusCode::SERVICE_UNAVAILABLE, "the log cannot be read now; ask again");
        };
        let bytes = entries.iter().map(|entry| entry.bytes.len() + LENGTH_BYTES).sum();
        let mut out = BytesMut::with_capacity(bytes);
        for entry in entries {
            // Entries are under 1 MiB; one that is not would end the answer before it.
            let Ok(length) = u32::try_from(entry.bytes.len()) else { break };
            out.put_u32(length);
            out.put(entry.bytes);
        }
        self.metrics.repair("range", "served");
        Ok(octets(out.freeze()))
    }

    fn report(&self, body: &[u8]) -> Result<Answer, Refused> {
        let report = self.agents.read_report(body).map_err(forbidden)?;
        self.admit(&report.agent)?;
        if self.agents.take_direct_report(report) {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            return Ok(answer);
        }
        refused(StatusCode::SERVICE_UNAVAILABLE, "too many reports wait; the next one says more")
    }

    /// Why after the signature: nobody can use up what belongs to another agent.
    fn admit(&self, agent: &AgentId) -> Result<(), Refused> {
        if self.names.take(agent.clone(), clock::now().boot) {
            return Ok(());
        }
        refused(StatusCode::TOO_MANY_REQUESTS, "too many requests of this agent; is its id used twice?")
    }
}

/// Bytes of the length before every entry of a range.
const LENGTH_BYTES: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Route {
    Lease,
    Repair,
    Report,
}

impl Route {
    const fn name(self) -> &'static str {
        match self {
            Self::Lease => "/direct/v1/lease",
            Self::Repair => "/direct/v1/repair",
            Self::Report => "/direct/v1/report",
        }
    }

    const fn bytes_max(self) -> usize {
        match self {
            Self::Lease => LEASE_REQUEST_BYTES_MAX,
            Self::Repair => REQUEST_BYTES_MAX,
            Self::Report => REPORT_BYTES_MAX,
        }
    }
}

/// Why 64 bits: who has one IPv6 address has all of its network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Refused> {
    let too_large = || {
        let text = format!("the body exceeds {bytes_max} bytes, the limit of this route");
        (StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    match timeout(BODY_WAIT, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "the body broke off; send it again"),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body did not come in time; send it again"),
    }
}

fn forbidden(error: rescind_codec::CodecError) -> Refused {
    (StatusCode::FORBIDDEN, error.to_string())
}

fn refused<T>(status: StatusCode, text: &str) -> Result<T, Refused> {
    Err((status, text.to_owned()))
}

fn octets(bytes: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(bytes));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer
}

fn refusal(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match status {
        StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1")));
        }
        _ => {}
    }
    answer
}
