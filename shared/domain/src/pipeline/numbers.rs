//! Numbers and spans of time out of a parsed TOML file.

use super::reading::{Reading, kind_of, shown};
use super::section::Section;
use super::{FaultKind, Seconds, SecondsError};
use toml::de::DeValue;

impl Reading<'_> {
    pub(super) fn count(&mut self, section: &Section<'_, '_>, key: &str) -> Option<u32> {
        let value = section.value(key)?;
        let place = section.place_of(key);
        let DeValue::Integer(number) = value else {
            self.wrong_type(
                &place,
                value,
                "a whole number",
                "a number without quotes, such as 1",
            );
            return None;
        };
        let count = u32::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|count| *count > 0);
        if count.is_none() {
            self.fault(
                FaultKind::Value,
                &place,
                shown(value),
                "is no number of people",
                "a whole number from 1 up",
            );
        }
        count
    }

    /// A whole number within limits, or the default where the key is absent. None after a fault.
    pub(super) fn number(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        limits: (u32, u32),
        default: u32,
        right: &str,
    ) -> Option<u32> {
        if section.has(key) {
            self.given_number(section, key, limits, right)
        } else {
            Some(default)
        }
    }

    /// A whole number that must be there, within limits. None after a fault.
    pub(super) fn required_number(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        limits: (u32, u32),
        right: &str,
    ) -> Option<u32> {
        if !section.has(key) {
            self.missing(section, key, right);
        }
        self.given_number(section, key, limits, right)
    }

    fn given_number(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        limits: (u32, u32),
        right: &str,
    ) -> Option<u32> {
        let value = section.value(key)?;
        let place = section.place_of(key);
        let DeValue::Integer(number) = value else {
            self.wrong_type(&place, value, "a whole number", right);
            return None;
        };
        let (least, most) = limits;
        let found = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let found = found.filter(|found| (least..=most).contains(found));
        if found.is_none() {
            self.fault(
                FaultKind::Value,
                &place,
                shown(value),
                "is not within the limits",
                right,
            );
        }
        found
    }

    /// A part of a whole, in thousandths: above 0, at most 1, with at most three decimals. None after a fault.
    pub(super) fn thousandths(&mut self, section: &Section<'_, '_>, key: &str) -> Option<u32> {
        let right = "a number above 0 and at most 1, with at most three decimals, such as 0.2";
        let value = section.value(key)?;
        let place = section.place_of(key);
        let text = match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            other => {
                self.wrong_type(&place, other, "a number", right);
                return None;
            }
        };
        let found = parse_thousandths(text).filter(|found| (1..=1_000).contains(found));
        if found.is_none() {
            self.fault(
                FaultKind::Value,
                &place,
                shown(value),
                "is no part of a whole",
                right,
            );
        }
        found
    }

    /// A span of time within limits, or the default where the key is absent. None after a fault.
    pub(super) fn duration(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        limits: (Seconds, Seconds),
        default: Seconds,
    ) -> Option<Seconds> {
        if !section.has(key) {
            return Some(default);
        }
        let (shortest, longest) = limits;
        let right = format!("from \"{shortest}\" to \"{longest}\"; the default is \"{default}\"");
        self.given_duration(section, key, limits, right)
    }

    /// A span of time within limits that has no default. None after a fault, and where the key is absent.
    pub(super) fn optional_duration(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        limits: (Seconds, Seconds),
    ) -> Option<Seconds> {
        let right = format!("from \"{}\" to \"{}\"", limits.0, limits.1);
        self.given_duration(section, key, limits, right)
    }

    fn given_duration(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        (shortest, longest): (Seconds, Seconds),
        right: String,
    ) -> Option<Seconds> {
        let value = section.value(key)?;
        let place = section.place_of(key);
        let problem = match value {
            DeValue::Integer(_) | DeValue::Float(_) => SecondsError::NoUnit.to_string(),
            DeValue::String(text) => match Seconds::parse(text) {
                Ok(span) if span < shortest => format!("is shorter than {shortest}"),
                Ok(span) if span > longest => format!("is longer than {longest}"),
                Ok(span) => return Some(span),
                Err(error) => error.to_string(),
            },
            other => format!("is {}, not a span of time", kind_of(other)),
        };
        self.fault(FaultKind::Value, &place, shown(value), problem, right);
        None
    }
}

/// `0.25` as 250. None where there are more than three decimals, or anything but digits and a dot.
fn parse_thousandths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let decimals = decimals.trim_end_matches('0');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if decimals.len() > 3 || !digits(decimals) || !digits(whole) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let decimals: u32 = format!("{decimals:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(decimals)
}
