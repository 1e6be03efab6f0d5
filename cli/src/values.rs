//! Values of the command line that are neither text nor a name: a release, a length of time, a reason.

use crate::failure::{Exit, Failure};
use jiff::SignedDuration;
use sluice_domain::ids::{IdError, ReleaseNumber, ServiceName};
use std::str::FromStr;
use std::time::Duration;

/// A release as people write it: `42`, `#42` or `mc-api#42`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseArg {
    service: Option<ServiceName>,
    number: ReleaseNumber,
}

/// Why a text is no release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Not a number.
    #[error("a release is written 42, #42 or mc-api#42")]
    NotANumber(#[source] std::num::ParseIntError),
    /// There is no release 0.
    #[error("releases count from 1")]
    Zero,
    /// What stands before the `#` is no service.
    #[error(transparent)]
    Service(#[from] IdError),
}

impl FromStr for ReleaseArg {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let (service, number) = text.split_once('#').unwrap_or(("", text));
        let service = if service.is_empty() {
            None
        } else {
            Some(ServiceName::parse(service)?)
        };
        let digits = if number.starts_with('+') { "" } else { number };
        let number: u32 = digits.parse().map_err(ReleaseError::NotANumber)?;
        if number == 0 {
            return Err(ReleaseError::Zero);
        }
        Ok(Self {
            service,
            number: ReleaseNumber(number),
        })
    }
}

impl ReleaseArg {
    /// The number, where the release is of this service.
    pub fn of(&self, service: &ServiceName) -> Result<ReleaseNumber, Failure> {
        match &self.service {
            Some(other) if other != service => {
                let message = format!(
                    "Release {other}{} is of {other}; the command is about {service}.",
                    self.number
                );
                Err(Failure::new(Exit::Usage, message).next(format!("sluice history {service}")))
            }
            _ => Ok(self.number),
        }
    }
}

/// A release where one may be left out.
pub fn release_of(
    release: Option<&ReleaseArg>,
    service: &ServiceName,
) -> Result<Option<ReleaseNumber>, Failure> {
    release.map(|release| release.of(service)).transpose()
}

/// A length of time, `500ms` to `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// Why a text is no length of time.
#[derive(Debug, thiserror::Error)]
#[error("a time between 100ms and 1h, such as 500ms, 2s or 1m")]
pub struct WaitError;

impl FromStr for Wait {
    type Err = WaitError;

    fn from_str(text: &str) -> Result<Self, WaitError> {
        let length: SignedDuration = text.parse().map_err(|_| WaitError)?;
        let length = Duration::try_from(length).map_err(|_| WaitError)?;
        let fits = (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&length);
        if fits { Ok(Self(length)) } else { Err(WaitError) }
    }
}

/// Why something is done, in a person's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

/// Why a text is no reason.
#[derive(Debug, thiserror::Error)]
#[error("a reason of 1 to 500 characters on one line")]
pub struct ReasonError;

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let text = text.trim();
        let fits = (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReasonError)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_release_is_written_in_three_ways() {
        let service = ServiceName::parse("mc-api").unwrap();
        for text in ["42", "#42", "mc-api#42"] {
            assert_eq!(
                text.parse::<ReleaseArg>().unwrap().of(&service).unwrap(),
                ReleaseNumber(42),
                "{text}"
            );
        }
        for text in [
            "",
            "#",
            "x",
            "-1",
            "+1",
            "0",
            "#0",
            "4294967296",
            "Mc#1",
            "mc-api#",
            "1#2#3",
            "mc-api#4 2",
        ] {
            assert!(text.parse::<ReleaseArg>().is_err(), "{text}");
        }
        let failure = "mc-web#42"
            .parse::<ReleaseArg>()
            .unwrap()
            .of(&service)
            .unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn a_time_has_a_unit_and_bounds() {
        assert_eq!("500ms".parse::<Wait>().unwrap().0, Duration::from_millis(500));
        assert_eq!("1m".parse::<Wait>().unwrap().0, Duration::from_secs(60));
        for text in ["", "5", "0s", "99ms", "-5s", "2h", "soon"] {
            assert!(text.parse::<Wait>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_says_something() {
        assert_eq!(" sale ".parse::<Reason>().unwrap().0, "sale");
        for text in ["", "  ", "a\nb", "\u{1b}[2J", &"x".repeat(501)] {
            assert!(text.parse::<Reason>().is_err(), "{text:?}");
        }
    }
}
