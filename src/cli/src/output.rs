//! What a person or a script reads: text on standard output, or one JSON object in a line.

pub(crate) mod board;
pub(crate) mod decision;
pub(crate) mod directive;
pub(crate) mod fields;
pub(crate) mod lists;
pub(crate) mod roles;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod time;

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::fault::Fault;

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Person,
    Script,
}

/// Standard output and standard error. A closed pipe ends nothing: `rescind records | head` is fine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    reader: Reader,
}

impl Screen {
    /// `json`: a script reads.
    pub(crate) const fn new(json: bool) -> Self {
        Self { reader: if json { Reader::Script } else { Reader::Person } }
    }

    /// Whether a script reads.
    pub(crate) fn is_json(self) -> bool {
        self.reader == Reader::Script
    }

    /// Text for a person; nothing for a script.
    pub(crate) fn text(self, text: &str) {
        if self.reader == Reader::Person && !text.is_empty() {
            emit(&mut io::stdout().lock(), text);
        }
    }

    /// An object for a script; nothing for a person.
    pub(crate) fn json(self, value: &Value) {
        if self.reader == Reader::Script {
            emit(&mut io::stdout().lock(), &value.to_string());
        }
    }

    /// The result in both forms.
    pub(crate) fn show(self, text: &str, value: &Value) {
        self.text(text);
        self.json(value);
    }

    /// Text that is the result itself in both forms, such as a token or a script.
    pub(crate) fn raw(self, text: &str) {
        emit(&mut io::stdout().lock(), text);
    }

    /// A remark beside the result, on standard error; nothing for a script.
    pub(crate) fn note(self, text: &str) {
        if self.reader == Reader::Person {
            emit(&mut io::stderr().lock(), text);
        }
    }

    /// A failed command, on standard error.
    pub(crate) fn fault(self, fault: &Fault) {
        let line = match self.reader {
            Reader::Person => format!("rescind: {}", fields::clean_lines(&fault.to_string())),
            Reader::Script => {
                let exit = fault.exit().code();
                json!({"error": {"code": fault.code(), "message": fault.to_string(), "exit": exit}})
                    .to_string()
            }
        };
        emit(&mut io::stderr().lock(), &line);
    }
}

fn emit(out: &mut dyn Write, text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    // Why ignored: whoever read us has gone, and there is nobody left to tell.
    write!(out, "{text}{end}").and_then(|()| out.flush()).ok();
}
