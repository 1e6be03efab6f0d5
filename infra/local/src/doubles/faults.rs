//! What a double does wrong on request, read from annotations.
//!
//! | annotation | meaning |
//! |---|---|
//! | `sluice.sim/lag` | how long after a change the double follows: seconds, or a duration like `500ms` |
//! | `sluice.sim/refuse` | the double refuses what it sees, for this reason (`true`: a usual one) |
//! | `sluice.sim/unresolved` | `true`: it says that a backend does not exist |
//! | `sluice.sim/silent` | `true`: it says and does nothing |
//! | `sluice.sim/partial` | `true`: of what changed it does the first part only, and fails (`alb`) |
//! | `sluice.sim/unhealthy` | health checks of these Services' targets fail, by commas; `true`: of all (`alb`) |
//!
//! They are read from the router object, from its Gateway, and from its namespace, where no writer of the object can
//! remove them; the first that has one wins.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

const PREFIX: &str = "sluice.sim/";

/// What is to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// From a change to the answer.
    pub lag: Duration,
    /// Refused, for this reason; `true` stands for a usual one.
    pub refuse: Option<String>,
    /// A backend is said not to exist.
    pub unresolved: bool,
    /// Nothing is said or done.
    pub silent: bool,
    /// Only the first part of a change is made.
    pub partial: bool,
    /// The Services whose targets fail their health checks; `true` stands for all.
    pub unhealthy: Vec<String>,
}

impl Faults {
    /// The faults that these annotations ask for, or what is wrong with them, all at once.
    pub fn read(sources: &[&BTreeMap<String, String>]) -> Result<Self, String> {
        let get = |name: &str| {
            let key = format!("{PREFIX}{name}");
            sources.iter().find_map(|source| source.get(&key)).cloned()
        };
        let mut faults = Vec::new();
        let mut flag = |name: &str| match get(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                faults.push(format!(
                    "annotation {PREFIX}{name} is {other:?}: true or false is wanted"
                ));
                false
            }
        };
        let (unresolved, silent, partial) = (flag("unresolved"), flag("silent"), flag("partial"));
        let lag = get("lag").map_or(Ok(Duration::ZERO), |text| duration(&text));
        let lag = lag.unwrap_or_else(|fault| {
            faults.push(fault);
            Duration::ZERO
        });
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        Ok(Self {
            lag,
            refuse: get("refuse").filter(|text| text != "false"),
            unresolved,
            silent,
            partial,
            unhealthy: get("unhealthy")
                .filter(|text| text != "false")
                .map_or_else(Vec::new, |text| {
                    text.split(',').map(|one| one.trim().to_owned()).collect()
                }),
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<u32>()
        .ok()
        .map(|whole| Duration::from_secs(whole.into()));
    let written = || {
        let parsed: SignedDuration = text.parse().ok()?;
        Duration::try_from(parsed).ok()
    };
    seconds.or_else(written).ok_or_else(|| {
        format!("annotation {PREFIX}lag is {text:?}: seconds, or a duration like 500ms or 2s, is wanted")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pair = |&(name, value): &(&str, &str)| (format!("{PREFIX}{name}"), value.to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_first_source_that_has_one_wins() {
        let route = annotations(&[("lag", "2")]);
        let namespace = annotations(&[("lag", "500ms"), ("refuse", "true"), ("silent", "true")]);
        let read = Faults::read(&[&route, &namespace]).unwrap();
        assert_eq!(
            read,
            Faults {
                lag: Duration::from_secs(2),
                refuse: Some("true".into()),
                silent: true,
                ..Faults::default()
            }
        );
        assert_eq!(
            Faults::read(&[&namespace]).unwrap().lag,
            Duration::from_millis(500)
        );
        let unhealthy = annotations(&[("unhealthy", "api-blue, api-green"), ("partial", "true")]);
        let read = Faults::read(&[&unhealthy]).unwrap();
        assert_eq!(
            (read.unhealthy, read.partial),
            (vec!["api-blue".to_owned(), "api-green".to_owned()], true)
        );
        assert_eq!(Faults::read(&[]).unwrap(), Faults::default());
    }

    #[test]
    fn every_wrong_annotation_is_named() {
        let wrong = annotations(&[("lag", "soon"), ("silent", "yes"), ("unresolved", "1")]);
        let said = Faults::read(&[&wrong]).unwrap_err();
        assert_eq!(said.matches("is wanted").count(), 3, "{said}");
    }
}
