//! `rescind revoke`, `disable`, `hold`, `kill`.

use rescind_core::ids::RecordId;
use rescind_core::position::{Lane, Position};
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::{Target, TargetKind};
use rescind_core::time::UnixS;
use serde_json::{Map, json};

use super::{ask, lift, send};
use crate::args::RecordArgs;
use crate::args::value::Moment;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::directive::{Told, Undo};
use crate::output::{Screen, time};

/// Makes a record.
pub(super) async fn run(
    kind: RecordKind,
    args: RecordArgs,
    cutoff: Option<Moment>,
    screen: Screen,
) -> Result<Exit, Fault> {
    check(kind, &args.target, cutoff)?;
    let told = told(kind, &args.target, args.origin.reason.as_deref());
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!(kind.word()));
    body.insert("target".to_owned(), json!(args.target.to_string()));
    if let Some(cutoff) = cutoff {
        body.insert("cutoff".to_owned(), cutoff.cutoff(time::now_s()));
    }
    let client = ask::client(&args.client, screen)?;
    send::carry_out(&client, screen, &told, body, &args.origin).await
}

/// What the core would refuse anyway is a mistake in the command line: say so before asking.
fn check(kind: RecordKind, target: &Target, cutoff: Option<Moment>) -> Result<(), Fault> {
    let takes_cutoff =
        target.kind() == TargetKind::User && matches!(kind, RecordKind::Revoke | RecordKind::Disable);
    let cutoff = (takes_cutoff || cutoff.is_some()).then_some(UnixS(0));
    let Some(id) = RecordId::new(Lane::Deny, Position::new(1, 1)) else { return Ok(()) };
    Record::new(id, kind, target.clone(), cutoff)
        .map(|_| ())
        .map_err(|error| Fault::usage(format!("{kind} {target}: {error}")))
}

fn told(kind: RecordKind, target: &Target, reason: Option<&str>) -> Told {
    let undo = match kind {
        RecordKind::Revoke => Undo::None,
        RecordKind::Disable => Undo::Reinstate,
        RecordKind::Kill if reason == Some(lift::COMPROMISE) => Undo::LiftCompromise,
        RecordKind::Hold | RecordKind::Kill => Undo::Lift,
    };
    Told { command: kind.word(), named: ("target", target.to_string()), undo, old: None, meaning: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: RecordKind, target: &str, cutoff: Option<Moment>) -> Result<(), Fault> {
        check(kind, &target.parse().unwrap(), cutoff)
    }

    #[test]
    fn kinds_and_targets_that_do_not_fit_are_usage_errors() {
        assert!(checked(RecordKind::Revoke, "user:u1", None).is_ok());
        assert!(checked(RecordKind::Disable, "user:u1", Some(Moment::Now)).is_ok());
        assert!(checked(RecordKind::Kill, "all", None).is_ok());
        for (kind, target, cutoff) in [
            (RecordKind::Revoke, "tenant:t", None),
            (RecordKind::Revoke, "session:i#s", Some(Moment::Now)),
            (RecordKind::Disable, "client:c", None),
            (RecordKind::Hold, "all", None),
            (RecordKind::Kill, "user:u1", None),
        ] {
            let fault = checked(kind, target, cutoff).unwrap_err();
            assert_eq!(fault.exit(), Exit::Usage, "{kind} {target}");
        }
    }
}
