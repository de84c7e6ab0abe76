//! `rescind grant` and `rescind withdraw`.

use rescind_core::entitlement::{ActionPattern, EntitlementError, Holder, ResourcePattern, Window};
use rescind_core::time::UnixS;
use serde_json::{Map, Value, json};

use super::{ask, send};
use crate::args::{GrantArgs, WithdrawArgs};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::directive::{Told, Undo};
use crate::output::{Screen, time};

/// Gives an entitlement.
pub(super) async fn run(args: GrantArgs, screen: Screen) -> Result<Exit, Fault> {
    let body = body(&args, time::now_s())?;
    let right = match (&args.member_of, &args.action, &args.resource) {
        (Some(role), _, _) => format!("{} is a member of {role} now", args.holder),
        (None, action, resource) => {
            let word = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{} may {} on {} now", args.holder, word(action), word(resource))
        }
    };
    let told = Told {
        command: "grant",
        named: ("holder", args.holder.clone()),
        undo: Undo::Withdraw,
        old: None,
        meaning: Some(right),
    };
    let client = ask::client(&args.client, screen)?;
    send::carry_out(&client, screen, &told, body, &args.origin).await
}

/// The directive; every mistake that needs no controller is found here, all at once.
fn body(args: &GrantArgs, now_s: i64) -> Result<Map<String, Value>, Fault> {
    let mut mistakes = Vec::new();
    let mut note =
        |result: Result<(), EntitlementError>| mistakes.extend(result.err().map(|error| error.to_string()));
    // Why a placeholder: `user:ID` may be completed with the controller's default issuer, which it knows.
    note(Holder::parse(&args.holder, Some("default")).map(|_| ()));
    if let Some(action) = &args.action {
        note(ActionPattern::new(action).map(|_| ()));
    }
    if let Some(resource) = &args.resource {
        note(ResourcePattern::new(resource).map(|_| ()));
    }
    let bound = |moment: Option<crate::args::value::Moment>| moment.map(|moment| UnixS(moment.unix_s(now_s)));
    let (from, until) = (bound(args.from), bound(args.until));
    note(Window::new(from, until).map(|_| ()));
    match &args.member_of {
        Some(role) if !role.starts_with("role:") && !role.starts_with("group:") => {
            mistakes.push(format!("`{role}` is no role or group; write `role:NAME` or `group:NAME`"));
        }
        Some(role) => mistakes.extend(role.parse::<Holder>().err().map(|error| error.to_string())),
        None => {}
    }
    if !mistakes.is_empty() {
        return Err(Fault::usage(format!("grant {}: {}", args.holder, mistakes.join("; "))));
    }
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!("grant"));
    body.insert("holder".to_owned(), json!(args.holder));
    let texts = [
        ("action", &args.action),
        ("resource", &args.resource),
        ("member_of", &args.member_of),
        ("tenant", &args.tenant),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    for (name, bound) in [("not_before", from), ("not_after", until)] {
        if let Some(bound) = bound {
            body.insert(name.to_owned(), json!(bound.0));
        }
    }
    Ok(body)
}

/// Ends an entitlement.
pub(super) async fn withdraw(args: WithdrawArgs, screen: Screen) -> Result<Exit, Fault> {
    let id = args.id.to_string();
    let told = Told {
        command: "withdraw",
        named: ("ends", id.clone()),
        undo: Undo::Again,
        old: None,
        meaning: Some("undo: grant it again; it gets a new id".to_owned()),
    };
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!("withdraw"));
    body.insert("entitlement".to_owned(), json!(id));
    let client = ask::client(&args.client, screen)?;
    send::carry_out(&client, screen, &told, body, &args.origin).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{ClientArgs, OriginArgs};

    fn args(holder: &str) -> GrantArgs {
        GrantArgs {
            holder: holder.to_owned(),
            action: None,
            resource: None,
            member_of: None,
            tenant: None,
            from: None,
            until: None,
            origin: OriginArgs::default(),
            client: ClientArgs::default(),
        }
    }

    #[test]
    fn a_permission_has_action_resource_and_window() {
        let mut args = args("user:u1");
        args.action = Some("refund:*".to_owned());
        args.resource = Some("/orders/*".to_owned());
        args.until = Some("+1h".parse().unwrap());
        assert_eq!(
            Value::Object(body(&args, 100).unwrap()),
            json!({"kind": "grant", "holder": "user:u1", "action": "refund:*", "resource": "/orders/*", "not_after": 3700})
        );
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mut args = args("alice");
        args.action = Some("a*b".to_owned());
        args.resource = Some(" ".to_owned());
        args.from = Some("200".parse().unwrap());
        args.until = Some("100".parse().unwrap());
        let fault = body(&args, 0).unwrap_err();
        assert_eq!(fault.exit(), Exit::Usage);
        for part in ["`alice` cannot hold", "`a*b`", "resource is empty", "window is empty"] {
            assert!(fault.to_string().contains(part), "{part}: {fault}");
        }
    }

    #[test]
    fn a_membership_is_in_a_role_or_group() {
        let mut args = args("user:u1");
        args.member_of = Some("user:u2".to_owned());
        assert!(body(&args, 0).unwrap_err().to_string().contains("no role or group"));
        args.member_of = Some("role:r".to_owned());
        assert!(body(&args, 0).is_ok());
    }
}
