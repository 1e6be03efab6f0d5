//! What changed between two looks at the state, for people and for programs.

use crate::text::{moment, plain_line, release, running, state};
use crate::traffic::alarm_text;
use crate::under_way::{activity_text, waiting_text, watch_text};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use serde::{Deserialize, Serialize};
use sluice_domain::api::{Activity, AlarmStatus, WaitingStatus, WatchStatus};
use sluice_domain::ids::{Digest, EnvironmentName, ReleaseNumber, ServiceName};
use sluice_domain::promotion::PromotionState;

/// One change in one environment. With `--output json` each is a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When it was seen.
    pub at: Timestamp,
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// What it is now.
    #[serde(flatten)]
    pub what: What,
}

/// What it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum What {
    /// A holder of the lease began, or is further.
    UnderWay(Box<Activity>),
    /// A promotion entered the queue, or waits for something else.
    Waiting(WaitingStatus),
    /// A release is watched from now on, or its watch is held.
    Watched(WatchStatus),
    /// A watch is over, and nothing spoke against its release.
    WatchPassed {
        /// The release.
        release: Option<ReleaseNumber>,
    },
    /// An alarm of what is rolled out or watched has another state.
    Alarm(AlarmStatus),
    /// Something else runs here, and was verified.
    Live {
        /// The release; none for what was there before Sluice.
        release: Option<ReleaseNumber>,
        /// Its digest.
        digest: Option<Digest>,
    },
    /// Automatic promotion was stopped.
    Held {
        /// Who did.
        by: String,
        /// Why.
        reason: String,
    },
    /// Automatic promotion goes on.
    Unheld,
    /// A promotion is over.
    PromotionEnded {
        /// The release.
        release: ReleaseNumber,
        /// How; none where its record is gone.
        state: Option<PromotionState>,
        /// Why.
        reason: Option<String>,
    },
    /// A rollback or restore is over.
    ReturnEnded {
        /// `rollback` or `restore`.
        kind: String,
        /// What it was to bring back.
        to: Option<ReleaseNumber>,
        /// Whether that runs now.
        succeeded: bool,
    },
}

impl What {
    /// For something that ended: whether well. A promotion that made room for a newer one is neither.
    pub fn ended_well(&self) -> Option<bool> {
        match self {
            Self::PromotionEnded {
                state: Some(PromotionState::Superseded),
                ..
            } => None,
            Self::PromotionEnded { state, .. } => Some(*state == Some(PromotionState::Verified)),
            Self::ReturnEnded { succeeded, .. } => Some(*succeeded),
            _ => None,
        }
    }
}

/// One line for people.
pub fn line(change: &Change) -> String {
    let Change {
        at,
        service,
        environment,
        what,
    } = change;
    let text = sentence(what, *at);
    let text = match what.ended_well() {
        Some(true) => text.green().to_string(),
        Some(false) => text.red().to_string(),
        None => text,
    };
    format!("{} {service} {environment}: {text}", moment(*at).dimmed())
}

/// What happened, as the rest of a line.
pub fn sentence(what: &What, now: Timestamp) -> String {
    match what {
        What::UnderWay(activity) => activity_text(activity, now),
        What::Waiting(waiting) => waiting_text(waiting, now),
        What::Watched(watch) => watch_text(watch, now),
        What::WatchPassed { release: of } => format!("{} passed its watch", release(*of)),
        What::Alarm(alarm) => format!("alarm {}", alarm_text(alarm, now)),
        What::Live {
            release: None,
            digest: None,
        } => format!("live: {}", release(None)),
        What::Live { release, digest } => format!("live: {}", running(*release, digest.as_ref())),
        What::Held { by, reason } => format!("held by {}: {}", plain_line(by), plain_line(reason)),
        What::Unheld => "no longer held".to_owned(),
        What::PromotionEnded {
            release, state: None, ..
        } => format!("{release}: its record is gone"),
        What::PromotionEnded {
            release,
            state: Some(is),
            reason,
        } => {
            let reason = reason.as_ref().filter(|_| *is != PromotionState::Verified);
            let reason = reason
                .map(|reason| format!(": {}", plain_line(reason)))
                .unwrap_or_default();
            format!("{release} {}{reason}", state(*is))
        }
        What::ReturnEnded {
            kind,
            to,
            succeeded: true,
        } => format!("{} to {} verified", plain_line(kind), release(*to)),
        What::ReturnEnded {
            kind,
            to,
            succeeded: false,
        } => {
            format!(
                "{} to {} is over, and that does not run",
                plain_line(kind),
                release(*to)
            )
        }
    }
}
