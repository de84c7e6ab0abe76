//! `rescind recover plan | approve | apply`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use rescind_codec::{SecretKey, approve, decode_statement, statement_chain};
use rescind_core::epoch::RecoveryStatement;
use serde_json::json;

use super::{ask, runtime};
use crate::args::{ApplyArgs, ApproveArgs, PlanArgs, RecoverCommand};
use crate::exit::Exit;
use crate::fault::{Fault, chain};
use crate::output::{Screen, fields, roles};
use crate::settings::plain;

/// Limit: a statement, an approval or a key file; the largest has some KiB.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// One step of giving up history.
pub(super) fn run(command: RecoverCommand, screen: Screen) -> Result<Exit, Fault> {
    match command {
        RecoverCommand::Plan(args) => runtime::client(plan(args, screen)),
        RecoverCommand::Approve(args) => sign(&args, screen),
        RecoverCommand::Apply(args) => runtime::client(apply(args, screen)),
    }
}

async fn plan(args: PlanArgs, screen: Screen) -> Result<Exit, Fault> {
    let attempt = "planning a recovery";
    let client = ask::client(&args.client, screen)?;
    let answer = client
        .post(&["v1", "recovery", "plan"], &json!({"reason": args.reason}))
        .await
        .map_err(|error| error.fault(attempt))?;
    let wrong = || Fault::internal("answer", format!("{attempt}: the answer holds no statement"));
    let hexadecimal = fields::opt(&answer, "statement").ok_or_else(wrong)?;
    let bytes = hex::decode(&hexadecimal).map_err(|_| wrong())?;
    let statement = read_statement(&bytes).map_err(|_| wrong())?;
    let behind = fields::text(&answer, "behind");
    screen.text(&format!("{}\n  missing  {behind}", roles::statement(&statement)));
    let mut object = roles::statement_json(&statement);
    if let Some(object) = object.as_object_mut() {
        object.insert("behind".to_owned(), answer.get("behind").cloned().unwrap_or_default());
        object.insert("statement".to_owned(), json!(hexadecimal));
        object.insert("file".to_owned(), json!(args.output));
    }
    match &args.output {
        Some(path) => {
            write_new(path, &hexadecimal)?;
            let path = path.display();
            screen.text(&format!("nothing was changed; the statement is in {path}"));
            screen.text(&format!(
                "next, two persons each: rescind recover approve --emitter NAME --emitter-key FILE {path} -o APPROVAL"
            ));
        }
        None => screen.text(&format!("nothing was changed; the statement:\n{hexadecimal}")),
    }
    screen.json(&object);
    Ok(Exit::Ok)
}

fn sign(args: &ApproveArgs, screen: Screen) -> Result<Exit, Fault> {
    let bytes = read_hex(&args.statement)?;
    let statement = read_statement(&bytes).map_err(|why| unusable(&args.statement, &why))?;
    let key = SecretKey::parse(&read_text(&args.emitter_key)?)
        .map_err(|error| unusable(&args.emitter_key, &chain(&error)))?;
    let approval = approve(&statement, &args.emitter, &key);
    write_new(&args.output, &hex::encode(&approval.statement))?;
    let path = args.output.display();
    screen.text(&roles::statement(&statement));
    screen.text(&format!(
        "signed by {}: the approval is in {path}; if this is not what you mean, delete it",
        args.emitter
    ));
    screen.json(&json!({
        "command": "approve", "emitter": args.emitter.as_str(), "file": args.output,
        "statement": roles::statement_json(&statement),
    }));
    Ok(Exit::Ok)
}

async fn apply(args: ApplyArgs, screen: Screen) -> Result<Exit, Fault> {
    let attempt = "giving up lost history";
    let [one, other] = args.approvals.as_slice() else {
        let count = args.approvals.len();
        return Err(Fault::usage(format!(
            "{attempt}: {count} approvals; it takes --approval twice, of two persons"
        )));
    };
    let bytes = read_hex(&args.statement)?;
    let statement = read_statement(&bytes).map_err(|why| unusable(&args.statement, &why))?;
    let approvals = [read_approval(one, &bytes)?, read_approval(other, &bytes)?];
    let client = ask::client(&args.client, screen)?;
    let answer = client
        .post(&["v1", "recovery", "apply"], &json!({"approvals": approvals}))
        .await
        .map_err(|error| error.fault(attempt))?;
    screen.text(&format!(
        "epoch {} begins; what came after deny {} and grant {} is given up, approved by {}",
        fields::text(&answer, "epoch"),
        statement.branch.deny.position,
        statement.branch.grant.position,
        fields::text(&answer, "approved_by"),
    ));
    screen.text("next: rescind status; then revoke again what was given up");
    screen.json(&json!({
        "command": "recover", "state": "applied", "epoch": answer.get("epoch"),
        "approved_by": answer.get("approved_by"), "statement": roles::statement_json(&statement),
    }));
    Ok(Exit::Ok)
}

fn read_statement(bytes: &[u8]) -> Result<RecoveryStatement, String> {
    let chain = statement_chain(bytes).map_err(|error| chain_of(&error))?;
    decode_statement(bytes, &chain).map_err(|error| chain_of(&error))
}

fn chain_of(error: &dyn std::error::Error) -> String {
    format!("it is no recovery statement: {}", chain(error))
}

/// The approval in `path`, hexadecimal. Signatures are for the controller to check, which has the certificates; that
/// it is for this very statement is seen here, because a person may have mixed up files.
fn read_approval(path: &Path, statement: &[u8]) -> Result<String, Fault> {
    let bytes = read_hex(path)?;
    let holds = !statement.is_empty() && bytes.windows(statement.len()).any(|part| part == statement);
    if !holds || bytes.len() == statement.len() {
        return Err(unusable(path, "it is no approval of this statement; sign the statement again"));
    }
    Ok(hex::encode(bytes))
}

fn read_hex(path: &Path) -> Result<Vec<u8>, Fault> {
    hex::decode(read_text(path)?.trim())
        .map_err(|_| unusable(path, "it is not hexadecimal; give the file that `rescind recover` wrote"))
}

fn read_text(path: &Path) -> Result<String, Fault> {
    let length = fs::metadata(path).map_err(|error| unusable(path, &plain(&error)))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unusable(path, "it is too long"));
    }
    fs::read_to_string(path).map_err(|error| unusable(path, &plain(&error)))
}

fn unusable(path: &Path, why: &str) -> Fault {
    Fault::usage(format!("cannot use `{}`: {why}", path.display()))
}

fn write_new(path: &Path, text: &str) -> Result<(), Fault> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        writeln!(file, "{text}")?;
        file.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::refused(
            "exists",
            format!("cannot write `{}`: it exists, and nothing is overwritten", path.display()),
        ),
        _ => Fault::internal("write", format!("cannot write `{}`: {}", path.display(), plain(&error))),
    })
}

#[cfg(test)]
mod tests;
