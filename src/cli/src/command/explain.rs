//! `rescind explain`: a decision, every record behind it, and why, in words.

use serde_json::{Value, json};

use super::{ask, decide};
use crate::args::ExplainArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Screen, decision};
use crate::socket;

/// Asks agent and controller, and says what it means.
pub(super) async fn run(args: ExplainArgs, screen: Screen) -> Result<Exit, Fault> {
    let answer = decide::ask(&args.query)?;
    let agent = socket::ask(&args.query.socket, "agent", &json!({"status": true}))?;
    // Why not an error: the agent's answer stands on its own, details are extra.
    let client = ask::client(&args.client, screen);
    let records = details(&client, "records", &decision::ids(&answer, "records")).await;
    let entitlements = details(&client, "entitlements", &decision::ids(&answer, "entitlements")).await;
    let words = decision::explain(&answer, &agent, &records, &entitlements);
    let url = client.as_ref().ok().map(Client::url);
    screen.show(
        &words.join("\n  "),
        &json!({"decision": answer, "agent": agent, "records": records, "entitlements": entitlements,
            "controller": url, "words": words}),
    );
    Ok(decide::ended(&answer))
}

async fn details(client: &Result<Client, Fault>, list: &str, ids: &[String]) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut away: Option<String> =
        client.as_ref().err().map(|_| "details need a controller, see --config".to_owned());
    for id in ids {
        let row = match (client, &away) {
            (Ok(client), None) => client.row(list, id).await.map_err(|error| error.to_string()),
            _ => Err(away.clone().unwrap_or_default()),
        };
        rows.push(row.unwrap_or_else(|why| {
            // Why: a controller that is away would be asked, and waited for, again and again.
            away.get_or_insert(why.clone());
            json!({"id": id, "unavailable": why})
        }));
    }
    rows
}
