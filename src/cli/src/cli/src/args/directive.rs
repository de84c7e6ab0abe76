//! Arguments of the commands that change something.

use std::time::Duration;

use clap::{ArgGroup, Args};
use rescind_core::ids::{IdempotencyKey, RecordId};
use rescind_core::target::Target;

use super::look::ClientArgs;
use super::value::{self, Moment};

/// `rescind revoke`, `disable`, `hold` and `kill`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// `user:ID`, `user:ISS#ID`, `token:ISS#JTI`, `session:ISS#SID`, `client:ID`, `key:ISS#KID`, `tenant:ID`,
    /// `service:NAME` or `all`.
    pub(crate) target: Target,
    /// For users: what was issued at or before this time is dead; default: now, on the controller's clock.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) cutoff: Option<Moment>,
    /// Who asks and why.
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// Who asks, why, and how long to wait.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OriginArgs {
    /// Short reason for machines, such as `compromise` or `leaver`.
    #[arg(long, value_name = "CODE")]
    pub(crate) reason: Option<String>,
    /// Private reason for staff: kept by the controller, never sent to agents; at most 1 KiB.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason_admin: Option<String>,
    /// Incident that this belongs to.
    #[arg(long, value_name = "ID")]
    pub(crate) incident: Option<String>,
    /// The person or system that asks; default: nobody beside the emitter.
    #[arg(long, value_name = "WHO")]
    pub(crate) requested_by: Option<String>,
    /// When it was known; default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) known_at: Option<Moment>,
    /// Idempotency key: the same key asks for the same effect once. Default: a random one, shown on trouble.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<IdempotencyKey>,
    /// Follow the board until every expected agent enforces it, for at most this long (30s without a value).
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "30s", value_parser = value::duration)]
    pub(crate) wait: Option<Duration>,
}

/// `rescind grant`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("right").required(true).args(["action", "member_of"]))]
pub(crate) struct GrantArgs {
    /// Who gets it: `user:ISS#ID`, `role:NAME` or `group:NAME` (`user:ID` with the controller's default issuer).
    pub(crate) holder: String,
    /// The action: exact (`refund:create`), `refund:*`, or `*`.
    #[arg(long, requires = "resource")]
    pub(crate) action: Option<String>,
    /// The resource: exact (`/orders/17`), `/orders/*`, or `*`.
    #[arg(long, requires = "action")]
    pub(crate) resource: Option<String>,
    /// A place in a role or group: `role:NAME` or `group:NAME`.
    #[arg(long, value_name = "ROLE|GROUP")]
    pub(crate) member_of: Option<String>,
    /// Only in this tenant.
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// Holds from this time on.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) from: Option<Moment>,
    /// No longer holds at this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<Moment>,
    /// Who asks and why.
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind withdraw`.
#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// The entitlement, `grant0-1-77`; see `rescind entitlements`.
    pub(crate) id: RecordId,
    /// Who asks and why.
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind lift`.
#[derive(Debug, Args)]
pub(crate) struct LiftArgs {
    /// The hold or kill, `deny-1-42`; see `rescind records`.
    pub(crate) id: RecordId,
    /// Old credentials stay dead: what was issued at or before this time (without a value: now).
    #[arg(
        long, value_name = "TIME", num_args = 0..=1, default_missing_value = "now", allow_hyphen_values = true,
        conflicts_with = "resume"
    )]
    pub(crate) with_cutoff: Option<Moment>,
    /// Old credentials work again; the default, except for a kill with the reason `compromise`.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Who asks and why.
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind reinstate`.
#[derive(Debug, Args)]
pub(crate) struct ReinstateArgs {
    /// The disable, `deny-1-42`; see `rescind records`.
    pub(crate) id: RecordId,
    /// Who asks and why.
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
