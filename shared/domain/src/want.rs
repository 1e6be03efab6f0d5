//! Wanting a release in an environment: by a push, by the environment before, or by a person.

use crate::environment::Environment;
use crate::ids::PromotionId;
use crate::ledger::{Event, Record};
use crate::promotion::{Asker, Promotion, PromotionState};
use crate::queue::Queued;
use crate::release::Release;
use crate::rollout::set_aside;
use jiff::Timestamp;

/// What came of wanting a release in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The new promotion; already superseded when something newer, or something a person asked for, waits.
    pub promotion: Promotion,
    /// Another promotion that lost its place.
    pub superseded: Option<PromotionId>,
    /// For the environment's ledger.
    pub records: Vec<Record>,
}

/// What a person adds to the wish for a promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Why.
    pub reason: Option<String>,
    /// Alarms that do not stop it as long as they stay as they were.
    pub despite: Vec<String>,
}

impl Wanted {
    /// With what the person adds, in the ledger and on the promotion.
    pub fn with(mut self, word: &Word) -> Self {
        let Some(wanted) = self.records.first_mut() else {
            return self;
        };
        wanted.reason.clone_from(&word.reason);
        let by = wanted.by.clone();
        if !word.despite.is_empty() && !self.promotion.state.is_final() {
            self.promotion.despite.clone_from(&word.despite);
            let why = word.reason.as_deref().unwrap_or_default();
            let release = Some(self.promotion.id.release);
            self.records.push(set_aside(release, &word.despite, &by, why));
        }
        self
    }
}

/// Puts a release into the environment's queue. A release pushed after a rollback lifts that rollback's hold.
pub fn want(
    environment: &mut Environment,
    release: &Release,
    attempt: u32,
    asked_by: Asker,
    now: Timestamp,
) -> Wanted {
    let id = PromotionId {
        release: release.number,
        attempt,
    };
    let automatic = asked_by == Asker::Automatic;
    let mut records = vec![record_of(Event::PromotionWanted, release, &asked_by, None)];
    if automatic
        && environment
            .hold
            .as_ref()
            .is_some_and(|hold| hold.after_rollback && release.pushed_at > hold.at)
    {
        environment.hold = None;
        let why = format!("{} was pushed after the rollback", release.number);
        records.push(record_of(Event::Unheld, release, &asked_by, Some(why)));
    }
    let queued = Queued {
        id,
        pushed_at: release.pushed_at,
        automatic,
    };
    let placement = environment.queue.put(queued, current_is_held(environment));
    environment.queue = placement.queue;
    let mut promotion = Promotion {
        service: release.service.clone(),
        environment: environment.name.clone(),
        id,
        digest: release.digest.clone(),
        pipeline: release.pipeline.clone(),
        asked_by,
        wanted_at: now,
        state: PromotionState::Wanted,
        reason: None,
        ended_at: None,
        approval: None,
        wake: None,
        bundle: None,
        despite: Vec::new(),
        v: 0,
    };
    let superseded = placement.superseded.filter(|lost| *lost != id);
    if placement.superseded == Some(id) {
        let why = environment
            .queue
            .next
            .as_ref()
            .map(|next| format!("{} waits already", next.id.release));
        promotion.end(PromotionState::Superseded, why.clone().unwrap_or_default(), now);
        records.push(record_of(
            Event::PromotionSuperseded,
            release,
            &promotion.asked_by,
            why,
        ));
    } else if let Some(lost) = superseded {
        environment.to_wake.push(lost);
        records.push(Record {
            release: Some(lost.release),
            digest: None,
            ..record_of(
                Event::PromotionSuperseded,
                release,
                &promotion.asked_by,
                Some(format!("by {}", release.number)),
            )
        });
    }
    Wanted {
        promotion,
        superseded,
        records,
    }
}

/// Whether the one whose turn it is waits only because automatic promotion is held.
fn current_is_held(environment: &Environment) -> bool {
    environment.hold.is_some()
        && environment.queue.current.as_ref().is_some_and(|current| {
            let rolling = environment.under_way().and_then(|rollout| rollout.promotion()) == Some(current.id);
            current.automatic && !rolling
        })
}

fn record_of(event: Event, release: &Release, asked_by: &Asker, reason: Option<String>) -> Record {
    Record {
        event,
        by: asked_by.to_string(),
        release: Some(release.number),
        digest: Some(release.digest.clone()),
        execution: None,
        fence: None,
        reason,
    }
}

impl std::fmt::Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Asker::Automatic => f.write_str("sluice"),
            Asker::Person {
                person: Some(person), ..
            } => write!(f, "{person}"),
            Asker::Person { person: None, arn } => f.write_str(arn),
        }
    }
}

/// Whether a release that was verified in the environment before goes on into this one by itself: not when it, or one
/// pushed later, has completed here already.
pub fn continues(environment: &Environment, release: &Release) -> bool {
    !environment
        .completed
        .iter()
        .any(|completed| (completed.pushed_at, completed.release) >= (release.pushed_at, release.number))
}
