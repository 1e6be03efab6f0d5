//! Places in a text, and text on a terminal.

/// Which byte of a text is on which line.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Where each line starts. Never empty.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let after_breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    /// Line and column of a byte, both from 1, the column in characters. A byte past the end is the end.
    ///
    /// The end of a file that ends with a line break is on its last line: no editor shows one after it.
    pub(super) fn place(&self, byte: usize) -> (usize, usize) {
        let mut byte = byte.min(self.text.len());
        if byte == self.text.len() && self.text.ends_with('\n') {
            byte = byte.saturating_sub(1);
        }
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..byte).unwrap_or_default();
        // Bytes 10xxxxxx continue a character of UTF-8.
        let column = before.iter().filter(|b| **b & 0xc0 != 0x80).count() + 1;
        (line, column)
    }

    /// The line with this number, from 1.
    pub(super) fn line(&self, number: usize) -> &'t str {
        let start = number.checked_sub(1).and_then(|index| self.starts.get(index));
        start
            .and_then(|start| self.text.get(*start..))
            .and_then(|rest| rest.lines().next())
            .unwrap_or("")
    }
}

/// Breaks a text at spaces, so that no line but one without a space is longer than `width` columns.
pub(super) fn wrap(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length <= width {
            out.push(' ');
            column += 1 + length;
        } else {
            if column > 0 {
                out.push('\n');
            }
            out.push_str(indent);
            column = indent.chars().count() + length;
        }
        out.push_str(word);
    }
    out
}

/// The first 60 characters.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A text as it would be written in TOML, cut at 60 characters.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", printable(&cut(text)).replace('"', "\\\""))
}

/// A line or a key of a file, cut at 60 characters.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", cut(text))
}

/// The text with control characters escaped, so that a file cannot write to the terminal that its faults are shown on.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_debug().collect()
        } else {
            vec![c]
        }
    };
    text.chars().flat_map(escape).collect()
}

/// The candidate that is nearest to what was written, where one is near.
pub(super) fn nearest<'c>(found: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded = found.to_lowercase().replace(['-', ' '], "_");
    let allowed = 1 + found.chars().count() / 4;
    let near = candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&folded, candidate), candidate));
    near.filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_a_line_and_a_column_in_characters() {
        let lines = Lines::of("a\n\u{e9}\u{e9}x\n\nend\n");
        for (byte, wanted) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (2, 1)),
            (6, (2, 3)),
            (8, (3, 1)),
            (9, (4, 1)),
            (99, (4, 4)),
        ] {
            assert_eq!(lines.place(byte), wanted, "{byte}");
        }
        assert_eq!(Lines::of("").place(0), (1, 1));
        assert_eq!((lines.line(2), lines.line(99)), ("\u{e9}\u{e9}x", ""));
    }

    #[test]
    fn text_is_cut_and_cannot_write_to_the_terminal() {
        assert_eq!(quote("a\u{1b}[31m\"b\""), "\"a\\u{1b}[31m\\\"b\\\"\"");
        assert_eq!(
            code(&"\u{e9}".repeat(61)),
            format!("`{}...`", "\u{e9}".repeat(60))
        );
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("one two three four", "  ", 9), "  one two\n  three\n  four");
        assert_eq!(wrap("overlong-word x", " ", 5), " overlong-word\n x");
    }

    #[test]
    fn near_names_are_found() {
        let names = ["timeout", "namespace", "approval", "role"];
        for (found, wanted) in [
            ("time-out", Some("timeout")),
            ("timout", Some("timeout")),
            ("Namespace", Some("namespace")),
            ("aproval", Some("approval")),
            ("rol", Some("role")),
            ("xyz", None),
        ] {
            assert_eq!(nearest(found, names), wanted, "{found}");
        }
    }
}
