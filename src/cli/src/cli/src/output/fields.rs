//! Reading the controller's JSON for a person: a missing field is `-`, control characters are shown harmless.

use serde_json::Value;

/// The text of a field; `-` where there is none.
pub(crate) fn text(row: &Value, name: &str) -> String {
    match row.get(name) {
        Some(Value::String(text)) if !text.is_empty() => clean(text),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(items)) if !items.is_empty() => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), clean))
            .collect::<Vec<_>>()
            .join(","),
        _ => "-".to_owned(),
    }
}

/// The text of a field, if it has any.
pub(crate) fn opt(row: &Value, name: &str) -> Option<String> {
    row.get(name)?.as_str().filter(|text| !text.is_empty()).map(clean)
}

/// The number of a field.
pub(crate) fn number(row: &Value, name: &str) -> Option<i64> {
    row.get(name)?.as_i64()
}

/// The objects of a list field; none where it is missing.
pub(crate) fn rows<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Text from elsewhere, safe for a terminal: no control characters, no line breaks.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { '\u{fffd}' }).collect()
}

/// As [`clean`], line breaks kept.
pub(crate) fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_harmless(c) { c } else { '\u{fffd}' }).collect()
}

/// Why the two ranges: they turn the direction of writing, and what is shown would not be what is meant.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_gets_no_escapes() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d");
        assert_eq!(clean_lines("a\nb\u{7}"), "a\nb\u{fffd}");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let row = json!({"a": "x", "b": null, "c": 3, "d": true, "e": [], "f": ["p", 1]});
        let shown: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].iter().map(|name| text(&row, name)).collect();
        assert_eq!(shown, ["x", "-", "3", "yes", "-", "p,1", "-"]);
    }
}
