//! What an execution sees, what it decides over it, and the write that comes with that.

use crate::cluster::{Alarms, Cluster, What, Write};
use crate::rows::{Act, Broken, Look, Row, Rows};
use crate::samples::{bundle, name_at, now, number, parts, place_of};
use crate::seeing::{observation, traffic_seen, unsound};
use sluice_domain::environment::{Phase, Rollout, Wanted};
use sluice_domain::ids::Fence;
use sluice_domain::rollout::{self, Decision, Facts, decide};
use sluice_domain::tracks::placed;
use sluice_domain::workload::Verdict;

impl Rows {
    /// What the execution of a row does next, and the write that it comes with.
    pub fn look(&self, row: Row, seen: &Cluster) -> Look {
        let key = (row, *seen);
        if let Some(known) = self.looks.borrow().get(&key) {
            return *known;
        }
        let look = self.looked(row, seen);
        self.looks.borrow_mut().insert(key, look);
        look
    }

    fn looked(&self, row: Row, seen: &Cluster) -> Look {
        let environment = self.copy(row);
        let rollout = environment.under_way().unwrap();
        let decision = self.decided(row, rollout, seen);
        let act = match decision {
            Decision::Over if rollout.phase == Phase::Stuck => return Look::Stuck,
            Decision::Over => return Look::Completes,
            Decision::Begin => Act::Begin,
            Decision::Apply | Decision::Route | Decision::Point => Act::Again,
            Decision::Shift => Act::Shift,
            Decision::Bake => Act::Bake,
            Decision::Advance(stage) => Act::Advance(u8::try_from(stage).unwrap()),
            Decision::Pause(_) => Act::Pause,
            Decision::Hold(_) => Act::Hold,
            Decision::Verify => Act::Verify,
            Decision::Restore(_) => Act::Restore,
            Decision::Restored => Act::Restored,
            Decision::Abandon(_) => Act::Abandon,
            Decision::Stick(_) => Act::Stick,
            Decision::Await(_) if self.broken == Broken::Order && rollout.phase == Phase::Rolling => {
                Act::Shift
            }
            Decision::Await(_) | Decision::Sleep(..) | Decision::Look(..) => return Look::Waits,
            other => panic!("there are no checks here: {other:?}"),
        };
        if let Some(why) = unsound(act, rollout, seen) {
            return Look::Unsound(why);
        }
        let write = match (act, &decision) {
            (Act::Again, Decision::Apply) => self.place_write(row),
            (Act::Again, Decision::Route) => Some(weights_write(rollout)),
            (Act::Again, _) => Some(root_write(rollout)),
            _ => self
                .record(row, act, false)
                .and_then(|after| self.write_of(after, act)),
        };
        let write = write.map(|write| Write {
            seen_ready: seen.is_ready_for(write.what),
            ..write
        });
        Look::Acts(act, write)
    }

    fn decided(&self, row: Row, rollout: &Rollout, seen: &Cluster) -> Decision {
        self.want(row);
        let wanted = self.wanted.borrow();
        let observed = observation(seen);
        let mut traffic = traffic_seen(seen);
        if self.broken == Broken::Stamp {
            traffic.pointed_fence = rollout.fence;
        }
        let alarms = match seen.alarms {
            Alarms::Quiet => Verdict::Passed,
            Alarms::Blame => Verdict::Failed("5xx".into()),
            Alarms::Unknown if self.broken == Broken::Inconclusive => Verdict::Passed,
            Alarms::Unknown => Verdict::Inconclusive("INSUFFICIENT_DATA".into()),
        };
        let facts = Facts {
            rollout,
            wanted: wanted[&row].as_ref(),
            observed: &observed,
            spec: &self.spec,
            is_helm: false,
            helm: None,
            caught: None,
            traffic: rollout.traffic.as_ref().map(|_| &traffic),
            alarms: Some(&alarms),
        };
        decide(facts, now())
    }

    /// The bundle of the row's phase, where the phase wants it.
    fn want(&self, row: Row) {
        if self.wanted.borrow().contains_key(&row) {
            return;
        }
        let wanted = self.get(row, |environment| {
            let rollout = environment.rollout.as_ref()?;
            let wanted = rollout.wanted()?;
            let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
            let bundle = rollout::bundle_of(wanted, bundle(number(hash.as_str())));
            Some(placed(rollout, &self.spec, bundle).unwrap())
        });
        self.wanted.borrow_mut().insert(row, wanted);
    }

    /// The write of what the row wants in its place.
    fn place_write(&self, row: Row) -> Option<Write> {
        self.want(row);
        let wanted = self.wanted.borrow();
        let wanted = &wanted[&row].as_ref()?.deployments[0];
        let what = What::Place {
            at: (0..3).find(|at| name_at(*at) == wanted.name).unwrap(),
            release: u8::try_from(number(&wanted.images["api"])).unwrap(),
            size: u8::try_from(wanted.replicas.unwrap()).unwrap(),
        };
        let fence = self.get(row, |environment| environment.rollout.as_ref().unwrap().fence);
        Some(fenced(what, fence))
    }

    /// The write that follows a record.
    pub fn write_of(&self, after: Row, act: Act) -> Option<Write> {
        match act {
            Act::Begin | Act::Advance(_) | Act::Restore | Act::RollBack(_) => self.place_write(after),
            Act::Shift => self.get(after, |environment| {
                environment.rollout.as_ref().map(weights_write)
            }),
            _ => None,
        }
    }
}

pub fn fenced(what: What, fence: Fence) -> Write {
    Write {
        what,
        fence: u8::try_from(fence.0).unwrap(),
        seen_ready: true,
    }
}

fn goes_back(rollout: &Rollout) -> bool {
    rollout.phase == Phase::Restoring
}

fn weights_write(rollout: &Rollout) -> Write {
    let traffic = rollout.traffic.as_ref().unwrap();
    let weights = if goes_back(rollout) {
        traffic.weights_before()
    } else {
        traffic.weights.unwrap()
    };
    fenced(What::Weights(parts(weights)), rollout.fence)
}

fn root_write(rollout: &Rollout) -> Write {
    let traffic = rollout.traffic.as_ref().unwrap();
    let place = if goes_back(rollout) {
        traffic.from
    } else {
        traffic.to
    };
    fenced(What::Root(place_of(place)), rollout.fence)
}
