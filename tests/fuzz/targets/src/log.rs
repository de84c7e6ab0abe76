//! What controllers and persons sign for good: entries, ticks, lost history.

use rescind_codec::{
    Domain, LogItem, decode_approval, decode_log_message, decode_statement, encode_entry, encode_statement,
};
use rescind_core::position::Lane;

use crate::realm::{NOW, PIN, TRUST, controller, dana, forms};

/// Entries and ticks as they lie in the log.
pub fn log_message(bytes: &[u8]) {
    for lane in [Lane::Deny, Lane::Grant(0)] {
        read(bytes, lane);
        for (field, domain) in [(0x0a, Domain::Entry), (0x12, Domain::Tick)] {
            for sealed in forms(bytes, domain, &controller()) {
                let mut message = vec![field];
                let mut length = sealed.len();
                while length > 0x7f {
                    message.push(0x80 | u8::try_from(length & 0x7f).unwrap());
                    length >>= 7;
                }
                message.push(u8::try_from(length).unwrap());
                message.extend(sealed);
                read(&message, lane);
            }
        }
    }
}

fn read(bytes: &[u8], lane: Lane) {
    if let Ok(LogItem::Entry(read)) = decode_log_message(bytes, lane, &TRUST) {
        let (again, _) = encode_entry(&read.entry, &controller());
        let Ok(LogItem::Entry(second)) = decode_log_message(&again, lane, &TRUST) else {
            panic!("an entry that was read is not read again: {:?}", read.entry);
        };
        assert_eq!(second.entry, read.entry);
    }
}

/// Statements of lost history, and approvals of them.
pub fn recovery(bytes: &[u8]) {
    for form in forms(bytes, Domain::Recovery, &dana()) {
        let approved = decode_approval(&form, &TRUST, NOW).map(|(_, statement)| statement);
        for statement in [approved, decode_statement(&form, &PIN.chain)].into_iter().flatten() {
            assert_eq!(decode_statement(&encode_statement(&statement), &PIN.chain), Ok(statement));
        }
    }
}
