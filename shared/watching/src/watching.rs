//! Looking, deciding, and what follows.

use crate::asking::{Why, request};
use crate::place_of;
use jiff::Timestamp;
use sluice_alarms::Alarms;
use sluice_domain::alarm::{AlarmHome, AlarmId, AlarmsSeen, Window, judge, note};
use sluice_domain::environment::Environment;
use sluice_domain::ids::ServiceName;
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_domain::watch::{self, Exposed, Watch, WatchDecision, exposed};
use sluice_domain::workload::Verdict;
use sluice_lambda::{ErrorName, Failure};
use sluice_rollback_call::RollBack;
use sluice_table::Transaction;
use sluice_transitions::{Backends, load_pipeline, racing, spec_of};

/// How often an environment that changed while it was looked at is looked at again.
const LOOKS: u32 = 3;

/// What is needed to look at alarms and to follow what they say. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watching {
    backends: Backends,
    alarms: Alarms,
    roll_back: RollBack,
}

/// What was seen and what is to be done about it.
struct Look {
    exposed: Exposed,
    spec: EnvironmentSpec,
    seen: AlarmsSeen,
}

impl Watching {
    /// Looks by `alarms`, and has done what follows by `roll_back`.
    pub fn new(backends: Backends, alarms: Alarms, roll_back: RollBack) -> Self {
        Self {
            backends,
            alarms,
            roll_back,
        }
    }

    /// An alarm is said to have gone into ALARM: every release that it can blame is looked at. Says what was done.
    ///
    /// One that cannot be looked at does not keep the others from it; the first failure is raised at the end.
    pub async fn heard(&self, alarm: &AlarmId, now: Timestamp) -> Result<Vec<String>, Failure> {
        let (mut done, mut failed) = (Vec::new(), None);
        for service in self.backends.table.services_of_alarm(alarm).await? {
            match self.heard_for(&service, alarm, now).await {
                Ok(mut said) => done.append(&mut said),
                Err(failure) => {
                    tracing::error!(%service, %alarm, %failure, "an alarm was not followed");
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn heard_for(
        &self,
        service: &ServiceName,
        alarm: &AlarmId,
        now: Timestamp,
    ) -> Result<Vec<String>, Failure> {
        let Some(overview) = self.backends.table.overview(service).await? else {
            return Ok(Vec::new());
        };
        if overview.meta.removed.is_some() {
            return Ok(Vec::new());
        }
        let (mut done, mut failed) = (Vec::new(), None);
        for environment in overview.environments {
            match self.blame(environment, Some(alarm), now).await {
                Ok(said) => done.extend(said),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Looks at what has traffic in an environment, and at its watch. Says what was done.
    pub async fn look_after(
        &self,
        environment: &Environment,
        now: Timestamp,
    ) -> Result<Option<String>, Failure> {
        match exposed(environment) {
            Some(found) if found.watched => self.look_after_watch(environment, found, now).await,
            Some(_) => self.blame(environment.clone(), None, now).await,
            None => Ok(None),
        }
    }

    /// Rolls back what an alarm blames: this one, or any of the environment's.
    async fn blame(
        &self,
        mut environment: Environment,
        alarm: Option<&AlarmId>,
        now: Timestamp,
    ) -> Result<Option<String>, Failure> {
        for _ in 0..LOOKS {
            let Some(found) = exposed(&environment) else {
                return Ok(None);
            };
            let Some(look) = self.look(&environment, found, alarm).await? else {
                return Ok(None);
            };
            let Some(why) = look.blame(alarm, now) else {
                if alarm.is_none() {
                    self.note(&environment, &look.spec.alarms, &look.seen).await?;
                }
                return Ok(None);
            };
            match self.call(&environment, &look.exposed, why, now).await? {
                Called::Done(message) => return Ok(Some(message)),
                Called::Changed(since) => environment = *since,
            }
        }
        let why = format!(
            "{} of {} changes too fast to be looked at",
            environment.name, environment.service
        );
        Err(Failure::transient(why))
    }

    /// What there is to see; none where the alarm is not one of this environment's.
    async fn look(
        &self,
        environment: &Environment,
        exposed: Exposed,
        alarm: Option<&AlarmId>,
    ) -> Result<Option<Look>, Failure> {
        let pipeline = load_pipeline(&self.backends.table, &environment.service, &exposed.pipeline).await?;
        let spec = spec_of(&pipeline, &environment.name)?.clone();
        let names = match alarm {
            Some(alarm) if is_of(&spec, alarm, self.backends.executions.home()) => vec![alarm.name.clone()],
            Some(_) => return Ok(None),
            None if spec.alarms.is_empty() => return Ok(None),
            None => spec.alarms.clone(),
        };
        let seen = self.alarms.look(&place_of(&spec), &names, exposed.since).await;
        Ok(Some(Look { exposed, spec, seen }))
    }

    async fn call(
        &self,
        environment: &Environment,
        exposed: &Exposed,
        why: Why,
        now: Timestamp,
    ) -> Result<Called, Failure> {
        let (service, name) = (&environment.service, &environment.name);
        let request = request(environment, exposed, why, now)?;
        tracing::info!(%service, environment = %name, reason = ?request.reason, "goes back");
        match self.roll_back.call(request).await {
            Ok(answer) => Ok(Called::Done(answer.message)),
            // It was completed, or somebody else was faster: then what is there now is looked at.
            Err(failure) if failure.name() == ErrorName::Refused => {
                let since = self.backends.table.environment(service, name).await?;
                if exposes_the_same(&since, exposed) {
                    return Err(failure);
                }
                Ok(Called::Changed(Box::new(since)))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn look_after_watch(
        &self,
        environment: &Environment,
        exposed: Exposed,
        now: Timestamp,
    ) -> Result<Option<String>, Failure> {
        let pipeline = load_pipeline(&self.backends.table, &environment.service, &exposed.pipeline).await?;
        let spec = spec_of(&pipeline, &environment.name)?;
        let Some(watch) = &environment.watch else {
            return Ok(None);
        };
        let seen = self
            .alarms
            .look(&place_of(spec), &watch.alarms, watch.since)
            .await;
        match watch::decide(watch, &seen, spec.hold_for, now) {
            WatchDecision::Wait => {
                self.note(environment, &watch.alarms, &seen).await?;
                Ok(None)
            }
            WatchDecision::RollBack { reason, blame } => {
                match self
                    .call(environment, &exposed, Why { reason, blame }, now)
                    .await?
                {
                    Called::Done(message) => Ok(Some(message)),
                    // The next sweep looks at what there is then.
                    Called::Changed(_) => Ok(None),
                }
            }
            decided => racing(|| self.record(environment, watch, &decided, now)).await,
        }
    }

    /// Keeps what was seen for `status`, where it is news. Whoever changes the row meanwhile knows better.
    async fn note(
        &self,
        environment: &Environment,
        alarms: &[String],
        seen: &AlarmsSeen,
    ) -> Result<(), Failure> {
        let mut environment = environment.clone();
        if !note(&mut environment, alarms, seen) {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        transaction.update(&environment);
        match transaction
            .commit(&self.backends.table)
            .await
            .map_err(Failure::from)
        {
            Err(failure) if failure.name() != ErrorName::Conflict => Err(failure),
            _ => Ok(()),
        }
    }

    /// Records what was decided of this watch, if it is still as it was when it was decided.
    async fn record(
        &self,
        environment: &Environment,
        decided_on: &Watch,
        decided: &WatchDecision,
        now: Timestamp,
    ) -> Result<Option<String>, Failure> {
        let (service, name) = (&environment.service, &environment.name);
        let mut environment = self.backends.table.environment(service, name).await?;
        if environment.lease.is_some() || environment.watch.as_ref() != Some(decided_on) {
            return Ok(None);
        }
        let (record, said) = match decided {
            WatchDecision::Hold { reason, until } => (
                watch::hold(&mut environment, reason, *until),
                format!("the watch of {name} is held until {until}: {reason}"),
            ),
            WatchDecision::Passed => (watch::pass(&mut environment), format!("{name} passed its watch")),
            WatchDecision::Wait | WatchDecision::RollBack { .. } => return Ok(None),
        };
        let Some(record) = record else { return Ok(None) };
        let mut transaction = Transaction::new();
        transaction.record(&mut environment, record, now);
        transaction.update(&environment);
        transaction.commit(&self.backends.table).await?;
        Ok(Some(said))
    }
}

/// What came of a call.
enum Called {
    Done(String),
    /// What was to be undone is not there any more; this is.
    Changed(Box<Environment>),
}

fn exposes_the_same(environment: &Environment, before: &Exposed) -> bool {
    exposed(environment)
        .is_some_and(|now| (&now.execution, now.watched) == (&before.execution, before.watched))
}

/// Whether this is one of the environment's alarms.
fn is_of(spec: &EnvironmentSpec, alarm: &AlarmId, ours: &AlarmHome) -> bool {
    spec.alarms.contains(&alarm.name) && AlarmHome::of(spec, ours) == alarm.home
}

impl Look {
    /// Why the release goes back, where an alarm blames it. What cannot be told is for the end of a bake or of the watch.
    fn blame(&self, alarm: Option<&AlarmId>, now: Timestamp) -> Option<Why> {
        let window = Window {
            shifted_at: self.exposed.since,
            now,
        };
        let named: Vec<String> = alarm.iter().map(|alarm| alarm.name.clone()).collect();
        let names = if named.is_empty() {
            &self.spec.alarms
        } else {
            &named
        };
        let judgement = judge(names, &self.seen, None, window, &self.exposed.despite);
        match judgement.verdict {
            Verdict::Failed(reason) => Some(Why {
                reason,
                blame: judgement.blame,
            }),
            Verdict::Passed | Verdict::Inconclusive(_) => None,
        }
    }
}
