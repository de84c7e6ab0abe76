//! `rescind revoke`, `disable`, `hold`, `kill`.

use rescind_core::ids::RecordId;
use rescind_core::position::{Lane, Position};
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::{Target, TargetKind};
use rescind_core::time::UnixS;
use serde_json::{Map, json};

use super::{ask, send};
use crate::args::RecordArgs;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::directive::{Told, Undo};
use crate::output::{Screen, time};

/// Makes a record.
pub(super) async fn run(kind: RecordKind, args: RecordArgs, screen: Screen) -> Result<Exit, Fault> {
    check(kind, &args)?;
    let told = told(kind, &args.target);
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!(kind.word()));
    body.insert("target".to_owned(), json!(args.target.to_string()));
    if let Some(cutoff) = args.cutoff {
        body.insert("cutoff".to_owned(), cutoff.cutoff(time::now_s()));
    }
    let client = ask::client(&args.client, screen)?;
    send::carry_out(&client, screen, &told, body, &args.origin).await
}

/// What the core would refuse anyway is a mistake in the command line: say so before asking.
fn check(kind: RecordKind, args: &RecordArgs) -> Result<(), Fault> {
    let takes_cutoff =
        args.target.kind() == TargetKind::User && matches!(kind, RecordKind::Revoke | RecordKind::Disable);
    let cutoff = (takes_cutoff || args.cutoff.is_some()).then_some(UnixS(0));
    let Some(id) = RecordId::new(Lane::Deny, Position::new(1, 1)) else { return Ok(()) };
    Record::new(id, kind, args.target.clone(), cutoff)
        .map(|_| ())
        .map_err(|error| Fault::usage(format!("{kind} {}: {error}", args.target)))
}

fn told(kind: RecordKind, target: &Target) -> Told {
    let undo = match kind {
        RecordKind::Revoke => Undo::None,
        RecordKind::Disable => Undo::Reinstate,
        RecordKind::Hold | RecordKind::Kill => Undo::Lift,
    };
    Told { command: kind.word(), named: ("target", target.to_string()), undo, old: None, meaning: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{ClientArgs, OriginArgs};

    fn args(target: &str, cutoff: Option<&str>) -> RecordArgs {
        RecordArgs {
            target: target.parse().unwrap(),
            cutoff: cutoff.map(|cutoff| cutoff.parse().unwrap()),
            origin: OriginArgs::default(),
            client: ClientArgs::default(),
        }
    }

    #[test]
    fn kinds_and_targets_that_do_not_fit_are_usage_errors() {
        assert!(check(RecordKind::Revoke, &args("user:u1", None)).is_ok());
        assert!(check(RecordKind::Disable, &args("user:u1", Some("now"))).is_ok());
        assert!(check(RecordKind::Kill, &args("all", None)).is_ok());
        for (kind, target, cutoff) in [
            (RecordKind::Revoke, "tenant:t", None),
            (RecordKind::Disable, "client:c", None),
            (RecordKind::Hold, "all", None),
            (RecordKind::Kill, "user:u1", None),
            (RecordKind::Kill, "tenant:t", Some("now")),
        ] {
            let fault = check(kind, &args(target, cutoff)).unwrap_err();
            assert_eq!(fault.exit(), Exit::Usage, "{kind} {target}");
        }
    }
}
