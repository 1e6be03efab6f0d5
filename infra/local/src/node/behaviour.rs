//! What an image's labels make its containers do.
//!
//! | label | meaning | default |
//! |---|---|---|
//! | `sluice.sim/ready-after` | from start to ready | `200ms` |
//! | `sluice.sim/never-ready` | `true`: runs, and is never ready | |
//! | `sluice.sim/crash-at-start` | ends as soon as it starts; the text is the termination message | |
//! | `sluice.sim/crash-after` | ends this long after each start | |
//! | `sluice.sim/exit-code` | the code it ends with; alone: ends when it would be ready | 1 for a crash, else 0 |
//! | `sluice.sim/log` | what it prints as it starts; `$NAME` stands for a variable of its environment | says that it is simulated |
//! | `sluice.sim/terminate-after` | from the deletion of its pod to its end, at most the pod's grace period | `0s` |
//! | `sluice.sim/requests-per-second`, `error-rate`, `latency`, `metric-namespace` | the metrics of its traffic: see [`super::load`] | |
//!
//! `sluice.sim/<argument>/<what>` is `sluice.sim/<what>` for a container whose first argument that is: one image serves
//! well, and fails its migration.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use super::load::Load;

/// How a container of an image behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// From start to ready; none: never.
    pub ready_after: Option<Duration>,
    /// How it ends by itself, if it does.
    pub end: Option<End>,
    /// From the deletion of its pod to its end.
    pub terminate_after: Duration,
}

/// How a container ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// From its start.
    pub after: Duration,
    /// Exit code.
    pub code: i32,
    /// Termination message.
    pub message: String,
}

const READY_AFTER: Duration = Duration::from_millis(200);

impl Behaviour {
    /// The behaviour that these labels describe, or every fault in them.
    pub fn read(labels: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut faults = Vec::new();
        let mut keep = |read: Result<Option<Duration>, String>| {
            read.unwrap_or_else(|fault| {
                faults.push(fault);
                None
            })
        };
        let ready_after = keep(duration(labels, "ready-after")).unwrap_or(READY_AFTER);
        let crash_after = keep(duration(labels, "crash-after"));
        let terminate_after = keep(duration(labels, "terminate-after")).unwrap_or_default();
        let code = exit_code(labels).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if let Err(fault) = Load::read(labels) {
            faults.push(fault);
        }
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let never = get(labels, "never-ready") == Some("true");
        let end = match (get(labels, "crash-at-start"), crash_after, code) {
            (Some(message), _, code) => Some(End {
                after: Duration::ZERO,
                code: code.unwrap_or(1),
                message: message.into(),
            }),
            (None, Some(after), code) => Some(End {
                after,
                code: code.unwrap_or(1),
                message: String::new(),
            }),
            (None, None, Some(code)) => Some(End {
                after: ready_after,
                code,
                message: String::new(),
            }),
            (None, None, None) => None,
        };
        Ok(Self {
            ready_after: (!never).then_some(ready_after),
            end,
            terminate_after,
        })
    }

    /// The same for a container that is expected to end: an init container, or one of a Job.
    pub fn until_completion(mut self) -> Self {
        if let (None, Some(after)) = (&self.end, self.ready_after) {
            self.end = Some(End {
                after,
                code: 0,
                message: String::new(),
            });
        }
        self
    }
}

/// The labels as they are for a container with this first argument: its own win.
pub fn with_argument(
    mut labels: BTreeMap<String, String>,
    argument: Option<&str>,
) -> BTreeMap<String, String> {
    let Some(argument) = argument else {
        return labels;
    };
    let prefix = format!("sluice.sim/{argument}/");
    let own: Vec<(String, String)> = labels
        .iter()
        .filter_map(|(name, value)| {
            Some((
                format!("sluice.sim/{}", name.strip_prefix(&prefix)?),
                value.clone(),
            ))
        })
        .collect();
    labels.extend(own);
    labels
}

/// The text of a label `sluice.sim/<name>`.
pub fn get<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    labels.get(&format!("sluice.sim/{name}")).map(String::as_str)
}

/// A duration of a label `sluice.sim/<name>`.
pub fn duration(labels: &BTreeMap<String, String>, name: &str) -> Result<Option<Duration>, String> {
    let Some(text) = get(labels, name) else {
        return Ok(None);
    };
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok())
        .map(Some)
        .ok_or_else(|| format!("label sluice.sim/{name} is {text:?}: a duration like 200ms or 2s is wanted"))
}

fn exit_code(labels: &BTreeMap<String, String>) -> Result<Option<i32>, String> {
    let Some(text) = get(labels, "exit-code") else {
        return Ok(None);
    };
    text.parse::<u8>()
        .map(|code| Some(code.into()))
        .map_err(|_| format!("label sluice.sim/exit-code is {text:?}: a number from 0 to 255 is wanted"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Behaviour, String> {
        Behaviour::read(
            &pairs
                .iter()
                .map(|(k, v)| (format!("sluice.sim/{k}"), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn labels_say_how_a_container_ends() {
        let end = |pairs: &[(&str, &str)]| {
            read(pairs)
                .unwrap()
                .end
                .map(|end| (end.after.as_millis(), end.code, end.message))
        };
        assert_eq!(end(&[]), None);
        assert_eq!(
            end(&[("crash-at-start", "no database")]),
            Some((0, 1, "no database".into()))
        );
        assert_eq!(
            end(&[("crash-at-start", "x"), ("exit-code", "137")]),
            Some((0, 137, "x".into()))
        );
        assert_eq!(end(&[("crash-after", "2s")]), Some((2000, 1, String::new())));
        assert_eq!(
            end(&[("ready-after", "50ms"), ("exit-code", "3")]),
            Some((50, 3, String::new()))
        );
    }

    #[test]
    fn never_ready_is_not_ready_after_a_long_time() {
        assert_eq!(
            read(&[("never-ready", "true"), ("ready-after", "1s")])
                .unwrap()
                .ready_after,
            None
        );
        assert_eq!(
            read(&[("ready-after", "1m")]).unwrap().ready_after,
            Some(Duration::from_secs(60))
        );
    }

    #[test]
    fn a_job_ends_by_itself_unless_it_never_gets_ready() {
        assert_eq!(read(&[]).unwrap().until_completion().end.unwrap().code, 0);
        assert_eq!(
            read(&[("never-ready", "true")]).unwrap().until_completion().end,
            None
        );
    }

    #[test]
    fn one_image_behaves_in_another_way_for_another_argument() {
        let labels: BTreeMap<String, String> = [
            ("sluice.sim/ready-after", "50ms"),
            ("sluice.sim/migrate/exit-code", "3"),
            ("sluice.sim/migrate/ready-after", "1s"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let end = |argument| {
            let read = Behaviour::read(&with_argument(labels.clone(), argument)).unwrap();
            read.end.map(|end| (end.after.as_millis(), end.code))
        };
        assert_eq!(end(Some("migrate")), Some((1000, 3)));
        for other in [None, Some("serve"), Some("mig"), Some("migrate/exit-code")] {
            assert_eq!(end(other), None, "{other:?}");
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let fault = read(&[
            ("ready-after", "soon"),
            ("crash-after", "-1s"),
            ("exit-code", "300"),
        ])
        .unwrap_err();
        assert_eq!(fault.matches("is wanted").count(), 3, "{fault}");
    }
}
