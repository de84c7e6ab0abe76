//! Arguments of the commands that only look.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rescind_core::ids::{EmitterId, RecordId};
use rescind_core::target::Target;

use super::value;

/// Where the controller is, and who asks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Controller")]
pub(crate) struct ClientArgs {
    /// `cli.toml`; default: RESCIND_CONFIG, ./.rescind/cli.toml, ~/.config/rescind/cli.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the controller's API, instead of the one in `cli.toml`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Act as this emitter: its token is `secrets/tokens/EMITTER.token` beside `cli.toml`.
    #[arg(long = "as", value_name = "EMITTER", conflicts_with = "auth_file")]
    pub(crate) emitter: Option<EmitterId>,
    /// File with the emitter's bearer token, instead of the one in `cli.toml`.
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_file: Option<PathBuf>,
}

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateFilter {
    /// In force.
    Active,
    /// Lifted or reinstated.
    Ended,
    /// Both.
    All,
}

impl StateFilter {
    /// The word in the API.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::All => "all",
        }
    }
}

/// `rescind records`.
#[derive(Debug, Args)]
pub(crate) struct RecordsArgs {
    /// Which.
    #[arg(long, value_enum, default_value_t = StateFilter::Active)]
    pub(crate) state: StateFilter,
    /// Only records that name exactly this target.
    #[arg(long)]
    pub(crate) target: Option<Target>,
    /// Only records of this emitter.
    #[arg(long, value_name = "NAME")]
    pub(crate) emitter: Option<EmitterId>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind entitlements`.
#[derive(Debug, Args)]
pub(crate) struct EntitlementsArgs {
    /// Only those of this holder: `user:ISS#ID`, `role:NAME` or `group:NAME`.
    #[arg(long)]
    pub(crate) holder: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind agents`.
#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind board`.
#[derive(Debug, Args)]
pub(crate) struct BoardArgs {
    /// The record, entitlement or lift; without: an overview.
    pub(crate) id: Option<RecordId>,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The record, entitlement or lift.
    pub(crate) id: RecordId,
    /// Give up after this long; default: Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = value::duration)]
    pub(crate) limit: Option<Duration>,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
