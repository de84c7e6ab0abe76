//! Times for people: UTC, milliseconds where the source has them.

use jiff::Timestamp;

/// Milliseconds since the epoch as `2026-03-01T12:00:00.123Z`; `-` for what is no time.
pub(crate) fn ms(at_ms: Option<i64>) -> String {
    let at = at_ms.and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.3}"))
}

/// Seconds since the epoch as `2026-03-01T12:00:00Z`; `-` for what is no time.
pub(crate) fn s(at_s: Option<i64>) -> String {
    let at = at_s.and_then(|at| Timestamp::from_second(at).ok());
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"))
}

/// A length in milliseconds as `120 ms`, `4.9 s` or `2 min 5 s`.
pub(crate) fn length(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// Now on this machine's clock, in seconds.
pub(crate) fn now_s() -> i64 {
    Timestamp::now().as_second()
}

/// Now on this machine's clock, in milliseconds.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(ms(Some(1_767_225_600_007)), "2026-01-01T00:00:00.007Z");
        assert_eq!(s(Some(1_767_225_600)), "2026-01-01T00:00:00Z");
        assert_eq!((ms(None).as_str(), ms(Some(i64::MAX)).as_str()), ("-", "-"));
    }

    #[test]
    fn lengths_have_no_false_precision() {
        assert_eq!([length(7), length(4_960), length(125_000)], ["7 ms", "4.9 s", "2 min 5 s"]);
    }
}
