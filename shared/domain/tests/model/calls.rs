//! Calls of roll-back, and what the sweep does for an execution that is gone.

use crate::rows::{Act, Broken, Called, Change, Kind, Row, Rows, Swept};
use crate::samples::{bundle, hash, now, number, promotion};
use sluice_domain::environment::{Environment, RolloutKind};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::ledger::Event;
use sluice_domain::pipeline::Seconds;
use sluice_domain::promotion::PromotionState;
use sluice_domain::recovery::{ExecutionStatus, Repair, repairs};
use sluice_domain::rollback::{self, Call, Course};
use sluice_domain::turn;

/// What a call of roll-back is answered with, other than that it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is being done, or was.
    Told,
    Refused,
}

impl Rows {
    fn call_of(&self, environment: &Environment, kind: Kind) -> Call {
        let rollout = environment.under_way();
        let restores = rollout.is_some_and(|rollout| match &rollout.kind {
            RolloutKind::Promotion { .. } => true,
            RolloutKind::Rollback { restore, .. } => *restore,
        });
        let (to, restore) = match kind {
            Kind::Default => (None, false),
            Kind::Abort => (None, true),
            Kind::Older => (Some(ReleaseNumber(1)), false),
            Kind::Sweep if restores => (None, true),
            Kind::Sweep => (rollout.and_then(|rollout| rollout.release), false),
        };
        Call {
            to,
            restore,
            by: "ana".into(),
            reason: None,
            undoes: None,
        }
    }

    /// One call of roll-back; the error is what it is answered with.
    pub fn roll_back(&self, environment: &mut Environment, kind: Kind, gone: bool) -> Result<(), Answer> {
        let call = self.call_of(environment, kind);
        let in_its_way = self.broken == Broken::Exempt && environment.lease.is_some();
        let (leaving, candidates) = match rollback::decide(environment, &call, None, gone) {
            _ if in_its_way => return Err(Answer::Refused),
            Course::BringBack { leaving, candidates } => (leaving, candidates),
            Course::Join(_) | Course::Already(_) => return Err(Answer::Told),
            Course::Refuse { .. } => return Err(Answer::Refused),
        };
        let target = candidates.first().ok_or(Answer::Refused)?;
        let of_target = bundle(number(target.bundle.as_str()));
        let traffic = rollback::place(environment, target, &of_target).map_err(|_| Answer::Refused)?;
        let beginning = rollback::Beginning {
            highest_fence: environment.fence,
            within: Seconds(100),
            pipeline: hash(900),
            traffic,
        };
        let preempted = environment.under_way().and_then(|rollout| rollout.promotion());
        let mut preempted = preempted.map(|id| promotion(id.release.0));
        rollback::begin(
            environment,
            preempted.as_mut(),
            &call,
            target,
            leaving,
            beginning,
            now(),
        );
        Ok(())
    }

    /// What a call comes to in this row: whether it is carried out, and whether it is refused.
    pub fn calls(&self, row: Row, kind: Kind, gone: bool) -> Called {
        let key = (row, kind, gone);
        if let Some(known) = self.called.borrow().get(&key) {
            return *known;
        }
        let called = match self.record(row, Act::RollBack(kind), gone) {
            Some(after) => Ok(self.write_of(after, Act::RollBack(kind))),
            None => self.roll_back(&mut self.copy(row), kind, gone).map(|()| None),
        };
        self.called.borrow_mut().insert(key, called);
        called
    }

    /// What the sweep does where the execution that has the lease is gone.
    pub fn sweep(&self, row: Row) -> Swept {
        let gone = |_: &_| ExecutionStatus::Ended("aborted".into());
        let repair = self.get(row, |environment| repairs(environment, gone).into_iter().next());
        match repair {
            None => Swept::Nothing,
            Some(Repair::Restore(_) | Repair::RollBackAgain(_)) => Swept::Calls,
            Some(Repair::Complete(_)) => Swept::Changes(self.complete(row)),
            Some(Repair::RecordAborted(id, _)) => {
                let ended = self.changed(row, Change::Sweep, |environment| {
                    let mut promotion = promotion(id.release.0);
                    let (state, event) = (PromotionState::Aborted, Event::PromotionAborted);
                    turn::end(&mut promotion, environment, state, event, "sluice", "", now());
                    true
                });
                Swept::Changes(ended.unwrap())
            }
            Some(other) => panic!("{other:?}"),
        }
    }
}
