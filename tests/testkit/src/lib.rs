//! A whole realm in a temporary directory, and the means to hurt it.
//!
//! For integration tests, the demo and benchmarks: a nats-server of its own on a port of the system's choice,
//! keys and configuration files as `rescind init` lays them out, a controller and agents in this process, an
//! issuer that signs real tokens and serves its keys over HTTP, and an emitter's HTTP client. Faults: the
//! server is killed, paused and restarted; a [`FaultProxy`] cuts one agent off; a [`RawClient`] with every
//! right on the bus injects what no library of ours would send.
//!
//! Every wait is bounded and level-triggered ([`wait`]). Everything that was started ends with its handle.
//! Deliberately absent: assertions, and anything that the product itself should offer.

pub mod agent;
pub mod api;
pub mod controller;
pub mod direct;
pub mod error;
pub mod issuer;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod realm;
pub mod server;
pub mod wait;

pub use agent::TestAgent;
pub use api::{Accepted, Answer, Api};
pub use direct::{Impostor, write_certificates};
pub use error::{KitError, KitResult, chain};
pub use issuer::{AUDIENCE, TestIssuer, now_ms, now_s, unique};
pub use process::Process;
pub use proxy::{FaultProxy, LinkMode};
pub use raw::{RawClient, RawMessage};
pub use realm::{BusAuth, RealmBuilder, RealmFiles, TestRealm};
pub use wait::{SOON, always, soon, until, until_answer, until_some};
