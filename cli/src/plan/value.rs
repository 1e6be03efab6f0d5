//! A field that changes, cut to the width.

use crate::text::plain_line;
use serde_json::Value;
use sluice_domain::difference::{FieldChange, SECRET};

/// How far fields are indented.
const INDENT: usize = 4;
/// How much of what is the same at the start of both values is kept, in characters.
const KEPT: usize = 8;

/// On one line where it fits, else the two values below the path.
pub fn change_lines(field: &FieldChange, width: u16) -> String {
    let path = plain_line(&field.path);
    if field.from == field.to && field.from.as_ref().is_some_and(|value| *value == SECRET) {
        return line(INDENT, &format!("{path}: another {SECRET}"), width);
    }
    let (from, to) = (shown(field.from.as_ref()), shown(field.to.as_ref()));
    let whole = format!("{path}: {from} -> {to}");
    if whole.chars().count() + INDENT <= usize::from(width) {
        return line(INDENT, &whole, width);
    }
    // Two images differ at their end: what is the same at the start gives way first.
    let room = usize::from(width).saturating_sub(INDENT + 5);
    let (from, to) = match from.chars().count().max(to.chars().count()) > room {
        true => without_common_start(&from, &to),
        false => (from, to),
    };
    line(INDENT, &path, width)
        + &line(INDENT + 2, &format!("   {from}"), width)
        + &line(INDENT + 2, &format!("-> {to}"), width)
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(Value::String(text)) if text == SECRET => SECRET.to_owned(),
        // as JSON, so that "1" is not 1, and line breaks are seen
        Some(other) => plain_line(&other.to_string()),
    }
}

fn without_common_start(one: &str, other: &str) -> (String, String) {
    let same = one
        .chars()
        .zip(other.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let dropped = same.saturating_sub(KEPT);
    if dropped <= 3 {
        return (one.to_owned(), other.to_owned());
    }
    let rest = |text: &str| -> String { "...".chars().chain(text.chars().skip(dropped)).collect() };
    (rest(one), rest(other))
}

fn line(indent: usize, text: &str, width: u16) -> String {
    let room = usize::from(width).saturating_sub(indent);
    let cut = match text.chars().count() > room {
        true => text
            .chars()
            .take(room.saturating_sub(3))
            .chain("...".chars())
            .collect(),
        false => text.to_owned(),
    };
    format!("{:indent$}{cut}\n", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_seen_however_long_the_values_are() {
        let field = |from: Value, to: Value| FieldChange {
            path: "image".into(),
            from: Some(from),
            to: Some(to),
        };
        let long = |end: &str| json!(format!("{}{end}", "x".repeat(100)));
        let text = change_lines(&field(long("one"), long("two")), 60);
        assert!(text.contains("one") && text.contains("two"), "{text}");
        let text = change_lines(&field(json!("1"), json!(1)), 60);
        assert_eq!(text, "    image: \"1\" -> 1\n");
        let text = change_lines(&field(long("one"), json!("y".repeat(100))), 60);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }
}
