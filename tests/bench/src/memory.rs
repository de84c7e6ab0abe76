//! What state costs, counted by the allocator; and an idle agent as the system sees it.

mod process;

use rescind_core::change::Change;
use rescind_core::view::View;

use crate::Outcome;
use crate::allocations::counted;
use crate::arguments::Scale;
use crate::data::{RIGHTS_PER_USER, grant, hasher, revocation};
use crate::report::{Figure, Sheet};

/// Limit: bytes of an exact revocation.
const REVOCATION_BYTES_MAX: f64 = 32.0;
/// Limit: bytes of a simple entitlement.
const ENTITLEMENT_BYTES_MAX: f64 = 96.0;

pub(crate) fn run(scale: Scale) -> Outcome<Sheet> {
    let mut sheet = Sheet::new("memory");
    let items = scale.pick(1_000_000, 20_000);
    let state = format!("of {items}");
    let revocations = bytes_each(items, revocation)?;
    sheet.add(
        Figure::value(format!("exact revocation, {state}"), "bytes", revocations)
            .at_most(REVOCATION_BYTES_MAX),
    );
    let shared = bytes_each(items, |number| grant(number, RIGHTS_PER_USER))?;
    let name = format!("simple entitlement, {state}, {RIGHTS_PER_USER} to a user");
    sheet.add(Figure::value(name, "bytes", shared).at_most(ENTITLEMENT_BYTES_MAX));
    let single = bytes_each(items, |number| grant(number, 1))?;
    let name = format!("simple entitlement, {state}, 1 to a user");
    sheet.add(Figure::value(name, "bytes", single).at_most(ENTITLEMENT_BYTES_MAX));
    sheet.note("bytes are live heap bytes as asked for, over the number of items; keys and table included");
    match scale {
        Scale::Full => process::run(&mut sheet)?,
        Scale::Quick => sheet.note("the idle agent process is measured without --quick only"),
    }
    Ok(sheet)
}

/// Live bytes of a view of `items` changes, each.
fn bytes_each(items: u64, change: impl Fn(u64) -> Outcome<Change>) -> Outcome<f64> {
    let (view, allocated) = counted(|| -> Outcome<View> {
        let mut view = View::new(hasher());
        for number in 0..items {
            view.apply(&change(number)?)?;
        }
        Ok(view)
    });
    let view = view.ok_or("the count did not run")??;
    if view.records() + view.entitlements() != items {
        return Err("the view does not hold what was folded into it".into());
    }
    Ok(allocated.live_bytes as f64 / items as f64)
}
