//! Spans of time in the pipeline file: whole seconds, written `"90s"`, `"5m"`, `"1h30m"`, `"30d"`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A span of time in whole seconds. Stored as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

/// Why a text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecondsError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// A number without `s`, `m`, `h` or `d`.
    #[error("has no unit")]
    NoUnit,
    /// A unit that is not one of ours.
    #[error("has the unit `{0}`, which is none of d, h, m, s")]
    UnknownUnit(String),
    /// A sign, a fraction, white space: anything but digits before a unit.
    #[error("is not a whole number and a unit")]
    NotANumber,
    /// `5m1h` or `1m1m`.
    #[error("has its units twice or out of order")]
    Order,
    /// All parts are 0.
    #[error("is no time at all")]
    Zero,
    /// More seconds than can be counted.
    #[error("is too long to be counted")]
    TooLong,
}

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Seconds {
    /// Reads `1h30m`: whole numbers, each with a unit of `d`, `h`, `m`, `s`, in this order, each at most once.
    pub fn parse(text: &str) -> Result<Self, SecondsError> {
        if text.is_empty() {
            return Err(SecondsError::Empty);
        }
        let mut rest = text;
        let mut total: u64 = 0;
        let mut below = u64::MAX;
        while !rest.is_empty() {
            let (number, unit, after) = next_part(rest)?;
            if unit >= below {
                return Err(SecondsError::Order);
            }
            let part = number.checked_mul(unit).ok_or(SecondsError::TooLong)?;
            total = total.checked_add(part).ok_or(SecondsError::TooLong)?;
            below = unit;
            rest = after;
        }
        if total == 0 {
            Err(SecondsError::Zero)
        } else {
            Ok(Self(total))
        }
    }

    /// The number of seconds.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The first number with its unit in seconds, and what follows.
fn next_part(text: &str) -> Result<(u64, u64, &str), SecondsError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let letters = rest
        .chars()
        .take_while(|c| c.is_alphabetic())
        .map(char::len_utf8)
        .sum();
    let (unit, after) = rest.split_at(letters);
    match (number.is_empty(), unit.is_empty()) {
        (true, _) => return Err(SecondsError::NotANumber),
        (false, true) if rest.is_empty() => return Err(SecondsError::NoUnit),
        (false, true) => return Err(SecondsError::NotANumber),
        (false, false) => {}
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, seconds) = known.ok_or_else(|| SecondsError::UnknownUnit(unit.to_owned()))?;
    let number = number.parse().map_err(|_| SecondsError::TooLong)?;
    Ok((number, *seconds, after))
}

impl fmt::Display for Seconds {
    /// As it would be written: `5m`, `1h30m`, `24h`; days from two days on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut text = String::new();
        for (name, unit) in UNITS {
            if name == "d" && rest < 2 * 86_400 {
                continue;
            }
            let count = rest / unit;
            if count > 0 {
                text.push_str(&format!("{count}{name}"));
            }
            rest %= unit;
        }
        f.pad(if text.is_empty() { "0s" } else { &text })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_whole_numbers_with_units() {
        let table = [
            ("90s", Ok(90)),
            ("5m", Ok(300)),
            ("2h", Ok(7_200)),
            ("24h", Ok(86_400)),
            ("1h30m", Ok(5_400)),
            ("300d", Ok(25_920_000)),
            ("007s", Ok(7)),
            ("", Err(SecondsError::Empty)),
            ("10", Err(SecondsError::NoUnit)),
            ("1h30", Err(SecondsError::NoUnit)),
            ("m", Err(SecondsError::NotANumber)),
            ("-5m", Err(SecondsError::NotANumber)),
            ("+5m", Err(SecondsError::NotANumber)),
            ("1.5h", Err(SecondsError::NotANumber)),
            ("5 m", Err(SecondsError::NotANumber)),
            ("5m ", Err(SecondsError::NotANumber)),
            ("\u{663}m", Err(SecondsError::NotANumber)),
            ("5M", Err(SecondsError::UnknownUnit("M".into()))),
            ("5min", Err(SecondsError::UnknownUnit("min".into()))),
            ("500ms", Err(SecondsError::UnknownUnit("ms".into()))),
            ("5m1h", Err(SecondsError::Order)),
            ("1m1m", Err(SecondsError::Order)),
            ("0s", Err(SecondsError::Zero)),
            ("0h0m", Err(SecondsError::Zero)),
            ("99999999999999999999s", Err(SecondsError::TooLong)),
            ("18446744073709551615d", Err(SecondsError::TooLong)),
            ("213503982334601d7h15s", Ok(213_503_982_334_601 * 86_400 + 25_215)),
        ];
        for (text, wanted) in table {
            assert_eq!(Seconds::parse(text).map(Seconds::get), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_span_is_shown_as_people_write_it() {
        let table = [
            (300, "5m"),
            (90, "1m30s"),
            (86_400, "24h"),
            (172_800, "2d"),
            (5_400, "1h30m"),
            (0, "0s"),
        ];
        for (seconds, wanted) in table {
            assert_eq!(Seconds(seconds).to_string(), wanted);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(seconds in 1u64..) {
            prop_assert_eq!(Seconds::parse(&Seconds(seconds).to_string()), Ok(Seconds(seconds)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = Seconds::parse(&text);
        }
    }
}
