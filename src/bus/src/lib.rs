//! The bus: subjects, stream, live feed, requests and snapshots over NATS JetStream.
//!
//! The only user of async-nats. It moves opaque bytes between subjects; it deliberately does not know what
//! an entry, a tick or a report is, verifies nothing and decides nothing. Truth is the signed chain inside
//! the bytes: everything that comes out of here may be late, doubled, missing or forged.
//!
//! Everything waits for a bounded time and buffers a bounded amount; a full buffer is an event, not a loss.
//!
//! Main types: [`Bus`] (cheap handle, clone it) with [`Bus::publish`], [`Bus::subscribe_live`],
//! [`Bus::request`], [`Bus::serve`], [`Bus::snapshots`]; [`Subjects`] names everything;
//! [`permissions::ServerConfig`] renders the server's side.

mod connect;
mod feed;
mod gather;
mod link;
mod live;
pub mod permissions;
mod read;
mod report;
mod request;
mod secret;
mod serve;
mod snapshot;
mod stream;
mod subjects;
mod writer;

pub use connect::{Bus, BusConfig, ClientCertificate, ConnectError, Credentials, TlsOptions};
pub use feed::{FeedLimits, SubscribeError};
pub use link::LinkState;
pub use live::{LiveEvent, LiveFeed};
pub use read::{Page, ReadError, StoredMessage};
pub use report::{ReportError, ReportEvent, ReportFeed, TailEvent, TailFeed};
pub use request::{Parts, RequestError};
pub use secret::{Secret, SecretError};
pub use serve::{Incoming, Requests, RespondError, Responder};
pub use snapshot::{BucketSettings, ObjectSummary, SnapshotError, Snapshots};
pub use stream::{MessageTtl, Mismatch, Replicas, StreamError, StreamReport, StreamSettings};
pub use subjects::{SubjectError, Subjects};
pub use writer::{Publication, PublishError, RefusedReason, Stored};
