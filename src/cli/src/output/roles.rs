//! Roles of controllers, and the statement that two persons sign.

use rescind_core::epoch::RecoveryStatement;
use rescind_core::position::Head;
use serde_json::{Value, json};

use super::fields::{clean, opt, text};

/// `c1 is standby in epoch 2; c2 writes`.
pub(crate) fn standing(status: &Value) -> String {
    let (controller, role) = (text(status, "controller"), text(status, "role"));
    let epoch = text(status, "epoch");
    let writer = match (role.as_str(), opt(status, "writer")) {
        ("writer", _) => String::new(),
        (_, Some(writer)) => format!("; {writer} writes"),
        (_, None) => "; nobody was heard writing lately".to_owned(),
    };
    format!("{controller} is {role} in epoch {epoch}{writer}")
}

/// A statement for a person who has to decide.
pub(crate) fn statement(statement: &RecoveryStatement) -> String {
    let RecoveryStatement { chain, epoch, branch, reason } = statement;
    let kept = |head: &Head| match head.position.revision.0 {
        0 => "nothing is kept, everything is given up".to_owned(),
        _ => format!("kept up to {}, given up after it; hash {}", head.position, head.hash),
    };
    [
        format!("recovery of chain {chain}: epoch {} begins", epoch.0),
        format!("  deny     {}", kept(&branch.deny)),
        format!("  grant    {}", kept(&branch.grant)),
        format!("  reason   {}", clean(reason)),
    ]
    .join("\n")
}

/// The same for a script.
pub(crate) fn statement_json(statement: &RecoveryStatement) -> Value {
    let RecoveryStatement { chain, epoch, branch, reason } = statement;
    let head = |head: &Head| json!({"position": head.position.to_string(), "hash": head.hash.to_string()});
    json!({
        "chain": chain.as_str(), "epoch": epoch.0, "deny": head(&branch.deny), "grant": head(&branch.grant),
        "reason": reason,
    })
}

#[cfg(test)]
mod tests {
    use rescind_core::ids::ChainId;
    use rescind_core::position::{Epoch, Heads, Position};

    use super::*;

    #[test]
    fn a_role_is_told_with_who_writes() {
        let status = |role: &str, writer: Value| json!({"controller": "c1", "role": role, "epoch": 3, "writer": writer});
        assert_eq!(standing(&status("writer", json!("c1"))), "c1 is writer in epoch 3");
        assert_eq!(standing(&status("standby", json!("c2"))), "c1 is standby in epoch 3; c2 writes");
        let alone = standing(&status("standby", Value::Null));
        assert_eq!(alone, "c1 is standby in epoch 3; nobody was heard writing lately");
    }

    #[test]
    fn a_statement_says_what_is_kept_and_hides_no_text() {
        let mut branch = Heads::default();
        branch.deny.position = Position::new(1, 7);
        let chain = ChainId::new("prod.x").unwrap();
        let given = RecoveryStatement { chain, epoch: Epoch(2), branch, reason: "disk\u{1b}[2J lost".into() };
        let text = statement(&given);
        assert!(text.starts_with("recovery of chain prod.x: epoch 2 begins\n"), "{text}");
        assert!(text.contains("kept up to 1/7, given up after it"), "{text}");
        assert!(text.contains("everything is given up") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(statement_json(&given)["deny"]["position"], "1/7");
    }
}
