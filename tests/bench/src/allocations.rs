//! Counts what this thread allocates.

use allocation_counter::{AllocationInfo, measure};

/// What a piece of code allocated on this thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allocated {
    /// How often.
    pub(crate) count: u64,
    /// Bytes that were still live at its end, as asked for.
    pub(crate) live_bytes: i64,
}

/// Runs `work` and counts. Whatever it returns is alive at the end of the count.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (Option<T>, Allocated) {
    let mut result = None;
    let AllocationInfo { count_total, bytes_current, .. } = measure(|| result = Some(work()));
    (result, Allocated { count: count_total, live_bytes: bytes_current })
}
