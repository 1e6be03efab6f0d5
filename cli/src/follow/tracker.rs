//! Comparing two looks at the state: what changed, and what is no longer there. Pure.

use super::change::{Change, What};
use jiff::Timestamp;
use sluice_domain::api::{Activity, AlarmStatus, EnvironmentStatus, ServiceStatus, WaitingStatus};
use sluice_domain::environment::Phase;
use sluice_domain::ids::{EnvironmentName, ExecutionName, ReleaseNumber, ServiceName};
use std::collections::BTreeMap;

/// An environment of a service.
pub type Place = (ServiceName, EnvironmentName);

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A promotion, in the queue or under way.
    Promotion(ReleaseNumber),
    /// A rollback or restore.
    Return {
        /// `rollback` or `restore`.
        kind: String,
        /// What it is to bring back.
        to: Option<ReleaseNumber>,
        /// Its execution.
        execution: ExecutionName,
    },
}

/// The state as it was seen last.
#[derive(Debug, Default)]
pub struct Tracker {
    seen: BTreeMap<Place, EnvironmentStatus>,
}

/// What one look brought.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// What changed, in the pipeline's order.
    pub changes: Vec<Change>,
    /// What was there and is not any more. How it ended is not in the state.
    pub gone: Vec<(Place, Work)>,
}

impl Tracker {
    /// Takes the present state in.
    pub fn look(&mut self, services: &[ServiceStatus], now: Timestamp) -> Step {
        let mut step = Step::default();
        for service in services {
            for environment in &service.environments {
                let place = (service.service.clone(), environment.name.clone());
                let before = self.seen.insert(place.clone(), environment.clone());
                compare(&place, before.as_ref(), environment, now, &mut step);
            }
        }
        step
    }
}

fn compare(
    place: &Place,
    before: Option<&EnvironmentStatus>,
    after: &EnvironmentStatus,
    now: Timestamp,
    step: &mut Step,
) {
    let mut changed = |what| {
        step.changes.push(Change {
            at: now,
            service: place.0.clone(),
            environment: place.1.clone(),
            what,
        });
    };
    if let Some(activity) = after
        .activity
        .as_ref()
        .filter(|activity| !is_known(before, activity))
    {
        changed(What::UnderWay(Box::new(activity.clone())));
    }
    for waiting in after
        .waiting
        .iter()
        .filter(|waiting| !is_known_to_wait(before, waiting))
    {
        changed(What::Waiting(waiting.clone()));
    }
    for alarm in after.alarms.iter().filter(|alarm| is_news_of(before, alarm)) {
        changed(What::Alarm(alarm.clone()));
    }
    if let Some(watch) = after.watch.as_ref().filter(|_| !is_known_to_watch(before, after)) {
        changed(What::Watched(watch.clone()));
    }
    let Some(before) = before else { return };
    // One that is not there any more, and under nobody's hands, passed. What is rolled back is told by the rollback.
    if let (Some(watch), None, None) = (&before.watch, &after.watch, &after.activity) {
        changed(What::WatchPassed {
            release: watch.release,
        });
    }
    let runs = |status: &EnvironmentStatus| {
        status
            .live
            .as_ref()
            .map(|live| (live.release, live.digest.clone()))
    };
    if let Some((release, digest)) = runs(after).filter(|_| runs(before) != runs(after)) {
        changed(What::Live { release, digest });
    }
    match (&before.hold, &after.hold) {
        (before, Some(hold)) if before.as_ref() != Some(hold) => {
            changed(What::Held {
                by: hold.by.clone(),
                reason: hold.reason.clone(),
            });
        }
        (Some(_), None) => changed(What::Unheld),
        _ => {}
    }
    let present = works(after);
    step.gone.extend(
        works(before)
            .into_iter()
            .filter(|work| !present.contains(work))
            .map(|work| (place.clone(), work)),
    );
}

/// A deadline that moves alone is no news.
fn is_known(before: Option<&EnvironmentStatus>, activity: &Activity) -> bool {
    let news = |activity: &Activity| {
        (
            activity.execution.clone(),
            activity.phase,
            activity.reason.clone(),
            activity.traffic.clone(),
            activity.held_until,
        )
    };
    before
        .and_then(|before| before.activity.as_ref())
        .is_some_and(|known| news(known) == news(activity))
}

/// At the first look only what is not as it should be.
fn is_news_of(before: Option<&EnvironmentStatus>, alarm: &AlarmStatus) -> bool {
    let known = before.and_then(|before| before.alarms.iter().find(|one| one.name == alarm.name));
    let said = |alarm: &AlarmStatus| (alarm.state, alarm.reason.clone(), alarm.despite);
    match known {
        Some(known) => said(known) != said(alarm),
        None => alarm.reason.is_some(),
    }
}

fn is_known_to_watch(before: Option<&EnvironmentStatus>, after: &EnvironmentStatus) -> bool {
    before.is_some_and(|before| before.watch == after.watch)
}

fn is_known_to_wait(before: Option<&EnvironmentStatus>, waiting: &WaitingStatus) -> bool {
    before.is_some_and(|before| before.waiting.contains(waiting))
}

/// Everything in an environment that is not over.
pub fn works(environment: &EnvironmentStatus) -> Vec<Work> {
    let activity =
        environment
            .activity
            .iter()
            .map(|activity| match (activity.what.as_str(), activity.release) {
                ("promotion", Some(release)) => Work::Promotion(release),
                _ => Work::Return {
                    kind: activity.what.clone(),
                    to: activity.release,
                    execution: activity.execution.clone(),
                },
            });
    let waiting = environment
        .waiting
        .iter()
        .map(|waiting| Work::Promotion(waiting.release));
    activity.chain(waiting).collect()
}

/// Neither forward nor back works: nothing more happens here until a person acts.
pub fn stuck(environment: &EnvironmentStatus) -> Option<&Activity> {
    environment
        .activity
        .as_ref()
        .filter(|activity| activity.phase == Phase::Stuck)
}

/// Nothing more happens here by itself.
pub fn is_quiet(environment: &EnvironmentStatus) -> bool {
    stuck(environment).is_some() || works(environment).is_empty()
}
