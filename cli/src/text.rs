//! Small pieces of text that several commands write.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use jiff::{Timestamp, Unit};
use sluice_domain::environment::Phase;
use sluice_domain::ids::{Digest, ReleaseNumber};
use sluice_domain::promotion::PromotionState;

/// Text from outside without control characters: a tag or a pod's message must not steer the terminal.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

/// Likewise, on one line.
pub fn plain_line(text: &str) -> String {
    plain(text).replace('\n', " ")
}

/// A length of time in its largest fitting unit: `12 s`, `3 m`, `5 h`, `12 d`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago it was: `3 m ago`. A time that is still to come (clocks differ) counts as now.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(at).as_secs()))
}

/// How much time is left: `8 m left`, or `2 m over`.
pub fn left(until: Timestamp, now: Timestamp) -> String {
    let seconds = until.duration_since(now).as_secs();
    if seconds < 0 {
        format!("{} over", span(-seconds))
    } else {
        format!("{} left", span(seconds))
    }
}

/// RFC 3339, in UTC, to the second.
pub fn moment(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

/// A release, or what was there before Sluice.
pub fn release(number: Option<ReleaseNumber>) -> String {
    number.map_or_else(
        || "what was there before Sluice".to_owned(),
        |number| number.to_string(),
    )
}

/// What runs somewhere, for a table.
pub fn running(number: Option<ReleaseNumber>, digest: Option<&Digest>) -> String {
    match (number, digest) {
        (Some(number), Some(digest)) => format!("{number} {}", digest.short()),
        (Some(number), None) => number.to_string(),
        (None, Some(digest)) => format!("- {}", digest.short()),
        (None, None) => "before Sluice".to_owned(),
    }
}

/// The phase of a rollout in words.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Rolling => "rolling out",
        Phase::Shifting => "shifting traffic",
        Phase::Baking => "baking",
        Phase::Verified => "verified",
        Phase::Restoring => "restoring",
        Phase::Restored => "restored",
        Phase::Stuck => "stuck",
    }
}

/// The state of a promotion in words.
pub fn state(state: PromotionState) -> &'static str {
    match state {
        PromotionState::Wanted => "waiting",
        PromotionState::AwaitingApproval => "awaiting approval",
        PromotionState::RollingOut => "rolling out",
        PromotionState::Verified => "verified",
        PromotionState::Failed => "failed",
        PromotionState::Superseded => "superseded",
        PromotionState::Rejected => "rejected",
        PromotionState::Expired => "expired",
        PromotionState::Aborted => "aborted",
        PromotionState::Refused => "refused",
        PromotionState::Preempted => "preempted",
    }
}

/// `1 entry`, `2 entries`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Text in lines of at most `width` characters, broken between words; what has no break in it is broken anywhere. The
/// first line is indented by `first`, the others by `rest`.
pub fn wrapped(text: &str, width: u16, first: usize, rest: usize) -> String {
    let width = usize::from(width).max(rest + 10);
    let mut lines = vec![" ".repeat(first)];
    let mut is_empty = true;
    // What stands at the start of the first line is kept as it is: a title and its padding.
    for word in text.split_inclusive(' ') {
        for part in parts(word, width.saturating_sub(rest)) {
            let long = lines.last().map_or(0, |line| visible(line)) + visible(part.trim_end());
            if long > width && !is_empty {
                lines.push(" ".repeat(rest));
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(&part);
            }
            is_empty = false;
        }
    }
    lines
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn parts(word: &str, most: usize) -> Vec<String> {
    if visible(word.trim_end()) <= most {
        return vec![word.to_owned()];
    }
    let all: Vec<char> = word.chars().collect();
    all.chunks(most.max(1))
        .map(|part| part.iter().collect())
        .collect()
}

/// How many columns it takes: colours take none.
fn visible(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

/// A table without lines, at most `width` columns wide. The last column takes what is left and wraps.
pub fn table<const N: usize>(width: u16, header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    let fixed = fixed_widths(&header, &rows);
    let taken: u16 = fixed.iter().map(|width| width + 2).sum();
    let rest = width.saturating_sub(taken).max(10);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for (column, fixed) in table
        .column_iter_mut()
        .zip(fixed.into_iter().map(Some).chain([None]))
    {
        column.set_padding((0, if fixed.is_some() { 2 } else { 0 }));
        column.set_constraint(match fixed {
            Some(width) => ColumnConstraint::Absolute(Width::Fixed(width + 2)),
            None => ColumnConstraint::UpperBoundary(Width::Fixed(rest)),
        });
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// How wide all columns but the last must be, in characters; what stands in them is short and must not wrap.
fn fixed_widths<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> Vec<u16> {
    let widest = |place: usize| {
        let cells = rows.iter().filter_map(|row| row.get(place)).map(String::as_str);
        let all = cells.chain(header.get(place).copied());
        all.flat_map(str::lines)
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    };
    (0..N.saturating_sub(1))
        .map(|place| u16::try_from(widest(place)).unwrap_or(u16::MAX))
        .collect()
}
