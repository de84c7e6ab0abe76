use rescind_codec::encode_statement;
use rescind_core::ids::{ChainId, EmitterId};
use rescind_core::position::{Epoch, Heads, Position};

use super::*;

fn statement(reason: &str) -> RecoveryStatement {
    let mut branch = Heads::default();
    branch.deny.position = Position::new(1, 7);
    RecoveryStatement {
        chain: ChainId::new("prod.x").unwrap(),
        epoch: Epoch(2),
        branch,
        reason: reason.into(),
    }
}

fn approve_args(dir: &Path, output: &str) -> ApproveArgs {
    ApproveArgs {
        emitter_key: dir.join("key"),
        emitter: EmitterId::new("ir").unwrap(),
        statement: dir.join("statement"),
        output: dir.join(output),
    }
}

#[test]
fn an_approval_is_for_its_statement_alone() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = encode_statement(&statement("lost"));
    write_new(&dir.path().join("statement"), &hex::encode(&bytes)).unwrap();
    fs::write(dir.path().join("key"), SecretKey::from_seed([7; 32]).to_text().as_str()).unwrap();
    let args = approve_args(dir.path(), "a");
    assert_eq!(sign(&args, Screen::new(true)).unwrap(), Exit::Ok);
    assert!(read_approval(&args.output, &bytes).is_ok());
    let other = encode_statement(&statement("another"));
    assert_eq!(read_approval(&args.output, &other).unwrap_err().exit(), Exit::Usage);
    let unsigned = read_approval(&args.statement, &bytes).unwrap_err();
    assert_eq!(unsigned.exit(), Exit::Usage, "a statement is no approval of itself");
    assert_eq!(sign(&args, Screen::new(true)).unwrap_err().code(), "exists", "nothing is overwritten");
}

#[test]
fn what_is_no_statement_is_not_signed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key"), SecretKey::from_seed([7; 32]).to_text().as_str()).unwrap();
    let blank = hex::encode(encode_statement(&statement("")));
    for text in ["", "zz", "00", &blank, &"00".repeat(40_000)] {
        fs::write(dir.path().join("statement"), text).unwrap();
        let fault = sign(&approve_args(dir.path(), "a"), Screen::new(true)).unwrap_err();
        assert_eq!(fault.exit(), Exit::Usage, "{fault}");
        assert!(!dir.path().join("a").exists());
    }
}

#[test]
fn a_secret_is_never_in_a_message() {
    let dir = tempfile::tempdir().unwrap();
    write_new(&dir.path().join("statement"), &hex::encode(encode_statement(&statement("lost")))).unwrap();
    fs::write(dir.path().join("key"), "not-a-key-but-secret").unwrap();
    let fault = sign(&approve_args(dir.path(), "a"), Screen::new(true)).unwrap_err();
    assert!(fault.to_string().contains("cannot use") && !fault.to_string().contains("but-secret"), "{fault}");
}
