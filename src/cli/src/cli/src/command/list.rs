//! `rescind records`, `entitlements`, `agents`.

use serde_json::json;

use super::ask;
use crate::args::{AgentsArgs, EntitlementsArgs, RecordsArgs};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Screen, board, fields, lists};

/// Lists records.
pub(super) async fn records(args: RecordsArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let target = args.target.map(|target| target.to_string());
    let mut filter = vec![("state", args.state.word())];
    filter.extend(target.as_deref().map(|target| ("target", target)));
    filter.extend(args.emitter.as_ref().map(|emitter| ("emitter", emitter.as_str())));
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (rows, next) =
        client.list("records", &filter, limit).await.map_err(|error| error.fault("listing records"))?;
    screen.show(&lists::records(&rows, &next), &json!({"records": rows, "next": next}));
    Ok(Exit::Ok)
}

/// Lists entitlements.
pub(super) async fn entitlements(args: EntitlementsArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let filter: Vec<(&str, &str)> =
        args.holder.as_deref().map(|holder| ("holder", holder)).into_iter().collect();
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (rows, next) = client
        .list("entitlements", &filter, limit)
        .await
        .map_err(|error| error.fault("listing entitlements"))?;
    screen.show(&lists::entitlements(&rows, &next), &json!({"entitlements": rows, "next": next}));
    Ok(Exit::Ok)
}

/// Lists agents.
pub(super) async fn agents(args: AgentsArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let answer = client.get(&["v1", "agents"], &[]).await.map_err(|error| error.fault("listing agents"))?;
    screen.show(&board::agents(fields::rows(&answer, "agents")), &answer);
    Ok(Exit::Ok)
}
