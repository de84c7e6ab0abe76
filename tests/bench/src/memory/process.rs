//! Placeholder.
use crate::Outcome;
use crate::report::Sheet;

pub(super) fn run(sheet: &mut Sheet) -> Outcome {
    sheet.note("idle agent: not measured yet");
    Ok(())
}
