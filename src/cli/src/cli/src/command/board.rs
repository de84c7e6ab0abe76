//! `rescind board` and `rescind watch`.

use serde_json::Value;

use super::{ask, send};
use crate::args::{BoardArgs, WatchArgs};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Screen, board, fields, lists};

/// Shows one board, or the overview.
pub(super) async fn run(args: BoardArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let Some(id) = args.id else {
        let answer =
            client.get(&["v1", "board"], &[]).await.map_err(|error| error.fault("reading the board"))?;
        let records = lists::records(fields::rows(&answer, "records"), &Value::Null);
        screen.show(&format!("{records}\n\n{}", board::agents(fields::rows(&answer, "agents"))), &answer);
        return Ok(Exit::Ok);
    };
    let path = ["v1", "records", &id.to_string(), "board"];
    let answer =
        client.get(&path, &[]).await.map_err(|error| error.fault(&format!("reading the board of {id}")))?;
    screen.show(&board::render(&answer), &answer);
    Ok(ended(&answer))
}

/// Follows one board.
pub(super) async fn watch(args: WatchArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let id = args.id.to_string();
    let mut changed = |board: &Value| screen.show(&board::line(board), board);
    let following = send::follow(&client, &id, args.limit, &mut changed);
    let board = tokio::select! {
        board = following => board?,
        _ = tokio::signal::ctrl_c() => return Ok(Exit::Partial),
    };
    screen.text(&format!("\n{}", board::render(&board)));
    Ok(ended(&board))
}

fn ended(answer: &Value) -> Exit {
    if board::is_enforced(answer) { Exit::Ok } else { Exit::Partial }
}
