//! The stream that holds the chain: created with the right settings, or refused with every wrong one named.

use std::{fmt, time::Duration};

use async_nats::jetstream::{
    self, Context,
    context::{CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Republish, RetentionPolicy, StorageType},
};
use tokio::time::timeout;

use crate::connect::Bus;

#[cfg(test)]
mod tests;

/// Why 2 minutes: longer than any publish waits, short enough to cost no memory. Exactly-once rests on
/// compare-and-set, not on this.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The oldest server that has everything the bus uses.
const SERVER_MIN: (i64, i64, i64) = (2, 12, 0);

/// Copies of the stream in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// One: a single server.
    One,
    /// Three: survives the loss of one server.
    Three,
}

/// Whether a message may carry an end of its life (ticks do).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageTtl {
    /// Allowed; needs a server of 2.11 or later and is left out on an older one.
    WhereSupported,
    /// Not allowed; a publish with a time to live is refused by the server.
    Off,
}

/// What can be chosen about the stream; everything else is fixed by the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Copies.
    pub replicas: Replicas,
    /// Largest size in bytes; at the limit publishes are refused, nothing old is dropped. `None` for no limit.
    pub max_bytes: Option<u64>,
    /// Oldest message; `None` keeps everything.
    pub max_age: Option<Duration>,
    /// Largest message in bytes; `None` for the server's limit.
    pub max_message_bytes: Option<u32>,
    /// Per-message time to live.
    pub message_ttl: MessageTtl,
    /// How long the server remembers message ids.
    pub duplicate_window: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            replicas: Replicas::One,
            max_bytes: None,
            max_age: None,
            max_message_bytes: None,
            message_ttl: MessageTtl::WhereSupported,
            duplicate_window: DUPLICATE_WINDOW,
        }
    }
}

/// One setting that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The server's name of the setting.
    pub setting: &'static str,
    /// What it must be.
    pub wanted: String,
    /// What it is.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, must be {}", self.setting, self.found, self.wanted)
    }
}

/// What was found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// It did not exist before.
    pub created: bool,
    /// Stream sequence of the first message, 0 or 1 for none.
    pub first_sequence: u64,
    /// Stream sequence of the last message, 0 for none yet.
    pub last_sequence: u64,
    /// Messages may carry a time to live.
    pub message_ttl: bool,
    /// The server's version.
    pub server_version: String,
    /// What a person should know, for example that the server is old.
    pub warning: Option<String>,
}

/// A stream that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It exists with other settings; all of them are named.
    #[error(
        "stream `{stream}` exists with other settings: {}; change them with the nats tool or use another realm",
        mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Mismatch {
        /// The stream.
        stream: String,
        /// Every wrong setting.
        mismatches: Vec<Mismatch>,
    },
    /// Looking it up failed.
    #[error(
        "cannot look up stream `{stream}`; check that JetStream is on and this user may ask for the stream"
    )]
    Lookup {
        /// The stream.
        stream: String,
        /// What the client said, `None` for a time-out.
        source: Option<GetStreamError>,
    },
    /// Creating it failed.
    #[error("cannot create stream `{stream}`; check the server's room, cluster size and this user's rights")]
    Create {
        /// The stream.
        stream: String,
        /// What the client said, `None` for a time-out.
        source: Option<CreateStreamError>,
    },
}

impl Bus {
    /// Creates the realm's stream, or checks every setting of the one that exists. Never changes one.
    ///
    /// # Errors
    /// [`StreamError::Mismatch`] names all wrong settings at once; the others say what failed. It is safe to
    /// try again.
    pub async fn ensure_stream(&self, settings: &StreamSettings) -> Result<StreamReport, StreamError> {
        let name = self.subjects().stream();
        let wanted = self.wanted(settings);
        let context = self.jetstream();
        let mut created = false;
        let mut found = self.look_up(&context, &name).await?;
        if found.is_none() {
            created = self.create(&context, &wanted).await?;
            found = self.look_up(&context, &name).await?;
        }
        let Some(found) = found else { return Err(StreamError::Lookup { stream: name, source: None }) };
        let mismatches = compare(&wanted, &found.config);
        if !mismatches.is_empty() {
            return Err(StreamError::Mismatch { stream: name, mismatches });
        }
        Ok(StreamReport {
            created,
            first_sequence: found.state.first_sequence,
            last_sequence: found.state.last_sequence,
            message_ttl: found.config.allow_message_ttl,
            server_version: self.server_version(),
            warning: self.server_warning(),
        })
    }

    /// A text for the operator when the server is older than the reference.
    #[must_use]
    pub fn server_warning(&self) -> Option<String> {
        let (major, minor, patch) = SERVER_MIN;
        (!self.server_at_least(major, minor, patch)).then(|| {
            format!(
                "nats-server {} is older than {major}.{minor}.{patch}: time to live of messages and fast reads may be \
                 missing; update the server",
                self.server_version()
            )
        })
    }

    /// A JetStream context with the bus's time-out.
    pub(crate) fn jetstream(&self) -> Context {
        let mut context = jetstream::new(self.inner.client.clone());
        context.set_timeout(self.request_timeout());
        context
    }

    async fn look_up(
        &self,
        context: &Context,
        name: &str,
    ) -> Result<Option<jetstream::stream::Info>, StreamError> {
        let failed = |source| StreamError::Lookup { stream: name.to_owned(), source };
        let stream =
            timeout(self.request_timeout(), context.get_stream(name)).await.map_err(|_| failed(None))?;
        match stream {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(inner)
                    if inner.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(failed(Some(error))),
            },
        }
    }

    /// Creates it; `false` when somebody else was faster, whatever settings they used.
    async fn create(&self, context: &Context, wanted: &Config) -> Result<bool, StreamError> {
        let failed = |source| StreamError::Create { stream: wanted.name.clone(), source };
        let made = timeout(self.request_timeout(), context.create_stream(wanted.clone())).await;
        match made.map_err(|_| failed(None))? {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(inner)
                    if inner.error_code() == jetstream::ErrorCode::STREAM_NAME_EXIST =>
                {
                    Ok(false)
                }
                _ => Err(failed(Some(error))),
            },
        }
    }

    fn wanted(&self, settings: &StreamSettings) -> Config {
        let subjects = self.subjects();
        Config {
            name: subjects.stream(),
            subjects: vec![subjects.log_all()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: match settings.replicas {
                Replicas::One => 1,
                Replicas::Three => 3,
            },
            discard: DiscardPolicy::New,
            max_bytes: settings.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_age: settings.max_age.unwrap_or_default(),
            max_message_size: settings
                .max_message_bytes
                .map_or(-1, |bytes| i32::try_from(bytes).unwrap_or(i32::MAX)),
            max_consumers: -1,
            duplicate_window: settings.duplicate_window,
            deny_delete: true,
            deny_purge: true,
            allow_direct: true,
            allow_message_ttl: settings.message_ttl == MessageTtl::WhereSupported
                && self.server_at_least(2, 11, 0),
            republish: Some(Republish {
                source: subjects.log_all(),
                destination: subjects.live_all(),
                headers_only: false,
            }),
            ..Config::default()
        }
    }
}

/// Every setting of the protocol that differs.
fn compare(wanted: &Config, found: &Config) -> Vec<Mismatch> {
    let mut wrong = Vec::new();
    let mut check = |setting, wanted: String, found: String| {
        if wanted != found {
            wrong.push(Mismatch { setting, wanted, found });
        }
    };
    macro_rules! settings {
        ($($name:literal: $show:expr;)*) => {{ $( check($name, $show(wanted), $show(found)); )* }};
    }
    settings! {
        "subjects": |c: &Config| c.subjects.join(",");
        "retention": |c: &Config| format!("{:?}", c.retention).to_lowercase();
        "storage": |c: &Config| format!("{:?}", c.storage).to_lowercase();
        "num_replicas": |c: &Config| c.num_replicas.to_string();
        "discard": |c: &Config| format!("{:?}", c.discard).to_lowercase();
        "discard_new_per_subject": |c: &Config| c.discard_new_per_subject.to_string();
        "max_bytes": |c: &Config| limit(c.max_bytes);
        "max_msgs": |c: &Config| limit(c.max_messages);
        "max_msgs_per_subject": |c: &Config| limit(c.max_messages_per_subject);
        "max_msg_size": |c: &Config| limit(i64::from(c.max_message_size));
        "max_age": |c: &Config| format!("{:?}", c.max_age);
        "duplicate_window": |c: &Config| format!("{:?}", c.duplicate_window);
        "no_ack": |c: &Config| c.no_ack.to_string();
        "sealed": |c: &Config| c.sealed.to_string();
        "allow_rollup_hdrs": |c: &Config| c.allow_rollup.to_string();
        "deny_delete": |c: &Config| c.deny_delete.to_string();
        "deny_purge": |c: &Config| c.deny_purge.to_string();
        "allow_direct": |c: &Config| c.allow_direct.to_string();
        "allow_msg_ttl": |c: &Config| c.allow_message_ttl.to_string();
        "persist_mode": |c: &Config| format!("{:?}", c.persist_mode.unwrap_or_default()).to_lowercase();
        "republish": |c: &Config| republish(c.republish.as_ref());
        "mirror": |c: &Config| c.mirror.is_some().to_string();
        "sources": |c: &Config| c.sources.as_ref().is_some_and(|sources| !sources.is_empty()).to_string();
        "subject_transform": |c: &Config| c.subject_transform.is_some().to_string();
    }
    wrong
}

/// The server writes no limit as -1 or 0.
fn limit(value: i64) -> String {
    if value <= 0 { "unlimited".to_owned() } else { value.to_string() }
}

fn republish(republish: Option<&Republish>) -> String {
    republish.map_or_else(
        || "none".to_owned(),
        |r| {
            format!(
                "{} -> {}{}",
                r.source,
                r.destination,
                if r.headers_only { " (headers only)" } else { "" }
            )
        },
    )
}
