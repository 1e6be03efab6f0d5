//! A rollout on tracks: destination ready and of full size for its weight, shift, read back, bake; and the same way back.

use super::readiness::{awaits_helm, is_empty, lost, pods, unreached};
use super::{
    Checked, Decision, Facts, LATER, LOOK_AGAIN, SOON, alarms, checks, give_up, hopeless, is_applied,
    verified, waited,
};
use crate::bundle::Bundle;
use crate::check::Stage as CheckStage;
use crate::environment::{Phase, Rollout};
use crate::pipeline::EnvironmentSpec;
use crate::tracks::{Stage, Standing, Track, Traffic, TrafficSeen, Weights, schedule};
use crate::workload::Verdict;
use jiff::{SignedDuration, Timestamp};

/// How long an execution sleeps at most in a bake, in seconds: nothing but its end and somebody's word wakes it, and the
/// sweep looks at its pods meanwhile.
const LONGEST_SLEEP: i64 = 86_400;

/// How long a router may say no until that counts.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(20);

pub(super) fn decide(
    facts: Facts<'_>,
    traffic: &Traffic,
    seen: &TrafficSeen,
    wanted: &Bundle,
    now: Timestamp,
) -> Decision {
    let on = OnTracks {
        facts,
        traffic,
        seen,
        wanted,
        now,
    };
    if let Some(reason) = facts.caught.and_then(hopeless) {
        return give_up(facts.rollout, reason);
    }
    match facts.rollout.phase {
        Phase::Rolling => on.rolling(),
        Phase::Shifting => on.shifting(),
        Phase::Baking => on.baking(),
        _ => on.restoring(),
    }
}

#[derive(Clone, Copy)]
struct OnTracks<'a> {
    facts: Facts<'a>,
    traffic: &'a Traffic,
    seen: &'a TrafficSeen,
    wanted: &'a Bundle,
    now: Timestamp,
}

/// The stage that a rollout is in. A rollback has one: everything.
pub fn stage_of(rollout: &Rollout, traffic: &Traffic, spec: &EnvironmentSpec) -> Stage {
    let all = Stage {
        weight: 100,
        bake: None,
        pause: None,
    };
    if rollout.promotion().is_none() {
        return all;
    }
    let stages = schedule(&spec.strategy, traffic.has_other);
    let at = usize::try_from(traffic.stage).ok();
    at.and_then(|at| stages.get(at)).copied().unwrap_or(all)
}

impl OnTracks<'_> {
    fn rollout(&self) -> &Rollout {
        self.facts.rollout
    }

    fn stage(&self) -> Stage {
        stage_of(self.rollout(), self.traffic, self.facts.spec)
    }

    fn is_applied(&self) -> bool {
        let Facts { observed, helm, .. } = self.facts;
        !awaits_helm(self.rollout(), self.wanted, observed, helm)
            && is_applied(self.wanted, observed, self.rollout().fence)
    }

    fn is_late(&self) -> bool {
        self.now >= self.rollout().deadline
    }

    /// Waits, as long as there is time.
    fn or_late(&self, open: Decision, reason: &str) -> Decision {
        if self.is_late() {
            give_up(
                self.rollout(),
                waited(&format!("not ready in time: {reason}"), self.rollout()),
            )
        } else {
            open
        }
    }

    /// The pods of a stage are brought up before it gets its weight.
    fn rolling(&self) -> Decision {
        if !self.is_applied() {
            return self.or_late(Decision::Apply, "the cluster could not be written");
        }
        if is_empty(self.wanted) {
            let reason = "its Deployments say 0 replicas, and it is to have traffic: say how many it needs";
            return give_up(self.rollout(), reason.to_owned());
        }
        match self.destination() {
            Destination::Ready => self.before_traffic(),
            Destination::Dead(reason) => give_up(self.rollout(), reason),
            Destination::Open(decision) => decision,
        }
    }

    /// Whether what gets the traffic can take it: pods, and then that requests find them.
    fn destination(&self) -> Destination {
        match self.pods() {
            Verdict::Failed(reason) => Destination::Dead(reason),
            Verdict::Inconclusive(reason) => {
                Destination::Open(self.or_late(Decision::Await(reason.clone()), &reason))
            }
            Verdict::Passed => match self.unreached() {
                Some(reason) => {
                    Destination::Open(self.or_late(Decision::Look(reason.clone(), SOON), &reason))
                }
                None => Destination::Ready,
            },
        }
    }

    fn unreached(&self) -> Option<String> {
        let place = self.rollout().heading()?.place;
        unreached(self.traffic, place, self.wanted, &self.seen.ready)
    }

    fn pods(&self) -> Verdict {
        pods(self.wanted, self.facts.observed)
    }

    fn before_traffic(&self) -> Decision {
        let is_first = self.traffic.weights.is_none();
        if is_first && self.rollout().promotion().is_some() {
            match checks(self.facts, CheckStage::Preview, self.now) {
                Checked::Passed => {}
                Checked::Failed(reason) => return give_up(self.rollout(), reason),
                Checked::Open(decision) => return decision,
            }
            if let Verdict::Failed(reason) | Verdict::Inconclusive(reason) = alarms(self.facts) {
                return self.or_late(Decision::Look(reason.clone(), LATER), &reason);
            }
        }
        Decision::Shift
    }

    /// The weights of the stage are recorded: written, accepted, and the Services pointed where all of it goes to.
    fn shifting(&self) -> Decision {
        let stage = self.stage();
        // A router refuses a Service that is not there yet, and without other traffic there is nothing to keep apart.
        if !self.traffic.has_other && self.seen.pointed != Some(self.traffic.to) {
            return match self.destination() {
                Destination::Ready => self.or_late(Decision::Point, "the Services"),
                Destination::Dead(reason) => give_up(self.rollout(), reason),
                Destination::Open(decision) => decision,
            };
        }
        match self.routed(self.traffic.weights_of(stage)) {
            Routed::Open(decision) => decision,
            Routed::Refused(reason) => give_up(self.rollout(), reason),
            Routed::Served if stage.bake.is_some() => Decision::Bake,
            Routed::Served => self.pointing(self.traffic.to, || verified(self.facts, self.now)),
        }
    }

    /// The weights are served: the Services follow, to pods that are ready for it.
    fn pointing(&self, place: Option<Track>, done: impl FnOnce() -> Decision) -> Decision {
        match self.destination() {
            Destination::Dead(reason) => give_up(self.rollout(), reason),
            Destination::Open(decision) => decision,
            // Also where they point there already: under this fence nobody of before points them elsewhere any more.
            Destination::Ready
                if self.seen.pointed != Some(place) || self.seen.pointed_fence < self.rollout().fence =>
            {
                self.or_late(Decision::Point, "the Services could not be written")
            }
            Destination::Ready => done(),
        }
    }

    /// Where weights stand. None is written to a place that is not ready for it.
    fn routed(&self, wanted: Weights) -> Routed {
        let by_us = self.seen.fence == self.rollout().fence;
        // Our own fence is on it: the cluster takes nothing more under that one.
        if let (true, Ok(found)) = (by_us, &self.seen.weights)
            && *found != wanted
        {
            return Routed::Refused(changed(*found));
        }
        let is_written = by_us && self.seen.weights.is_ok();
        if !is_written {
            return match self.destination() {
                Destination::Ready => {
                    Routed::Open(self.or_late(Decision::Route, "the router could not be written"))
                }
                Destination::Dead(reason) => Routed::Refused(reason),
                Destination::Open(decision) => Routed::Open(decision),
            };
        }
        match &self.seen.standing {
            Standing::Accepted => Routed::Served,
            Standing::Pending(reason) => {
                Routed::Open(self.or_late(Decision::Look(reason.clone(), SOON), reason))
            }
            // A controller that has not heard of a Service yet says no before it says yes.
            Standing::Refused(reason) if self.is_fresh() => {
                Routed::Open(Decision::Look(reason.clone(), SOON))
            }
            Standing::Refused(reason) => Routed::Refused(reason.clone()),
        }
    }

    /// Whether the weights were decided just now. On the way back there is nothing better to do than to wait as long as
    /// there is time.
    fn is_fresh(&self) -> bool {
        let rollout = self.rollout();
        if rollout.phase == Phase::Restoring || rollout.promotion().is_none() {
            return !self.is_late();
        }
        let since = self.traffic.decided_at.map(|at| self.now.duration_since(at));
        since.is_some_and(|since| since < REFUSED_FOR)
    }

    fn baking(&self) -> Decision {
        let traffic = self.traffic;
        if let Some(reason) = lost(self.wanted, self.facts.observed) {
            return give_up(self.rollout(), reason);
        }
        if let Ok(weights) = &self.seen.weights
            && Some(*weights) != traffic.weights
        {
            return give_up(self.rollout(), changed(*weights));
        }
        let until = traffic.bake_until.unwrap_or(self.now);
        let stage = self.stage();
        if traffic.hurry.is_none() && self.now < until {
            let what = format!("{} % of the traffic until {until}", stage.weight);
            return Decision::Sleep(what, sleep(self.now, until));
        }
        if let Standing::Refused(reason) = &self.seen.standing {
            return give_up(self.rollout(), reason.clone());
        }
        match alarms(self.facts) {
            Verdict::Failed(reason) => return give_up(self.rollout(), reason),
            Verdict::Inconclusive(reason) if traffic.hurry.is_none() || self.facts.alarms.is_none() => {
                return self.unclear(&reason);
            }
            _ => {}
        }
        if let Some(reason) = self.unserved().filter(|_| traffic.hurry.is_none()) {
            return self.unclear(&reason);
        }
        self.after_bake(stage)
    }

    /// Why it cannot be said that the weights of this stage were served to its end.
    fn unserved(&self) -> Option<String> {
        match (&self.seen.weights, &self.seen.standing) {
            (Err(reason), _) | (_, Standing::Pending(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Alarms that say nothing hold the rollout, once; then it goes back.
    fn unclear(&self, reason: &str) -> Decision {
        match self.rollout().held_until {
            None => Decision::Hold(reason.to_owned()),
            Some(until) if self.now < until => Decision::Sleep(
                format!("held until {until}: {reason}"),
                sleep(self.now, until).min(LOOK_AGAIN.unsigned_abs()),
            ),
            Some(_) => give_up(self.rollout(), format!("nobody decided in time: {reason}")),
        }
    }

    fn after_bake(&self, stage: Stage) -> Decision {
        let traffic = self.traffic;
        if traffic.hurry.is_none() {
            if let Some(pause) = &traffic.pause {
                return match pause.until {
                    Some(until) if self.now >= until => give_up(
                        self.rollout(),
                        format!("nobody resumed it in time: {}", pause.said()),
                    ),
                    Some(until) => Decision::Sleep(pause.said(), sleep(self.now, until)),
                    None => Decision::Sleep(pause.said(), LONGEST_SLEEP.unsigned_abs()),
                };
            }
            if stage.pause.is_some() && traffic.resumed != Some(traffic.stage) {
                return Decision::Pause(format!("at {} % a person is asked to go on", stage.weight));
            }
        }
        let stages = schedule(&self.facts.spec.strategy, traffic.has_other);
        let last = u32::try_from(stages.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let next = if traffic.hurry.is_some() {
            last
        } else {
            traffic.stage.saturating_add(1).min(last)
        };
        Decision::Advance(next)
    }

    /// What was there before is stamped and seen ready, then it gets the traffic back.
    fn restoring(&self) -> Decision {
        if !self.is_applied() {
            return self.or_late(Decision::Apply, "the cluster could not be written");
        }
        // Nothing had traffic before, and nothing of the release ever had: there is nothing to shift.
        if !self.traffic.has_other || self.traffic.weights.is_none() {
            return match self.pods() {
                Verdict::Passed => Decision::Restored,
                Verdict::Failed(reason) => give_up(self.rollout(), reason),
                Verdict::Inconclusive(reason) => self.or_late(Decision::Await(reason.clone()), &reason),
            };
        }
        match self.routed(self.traffic.weights_before()) {
            Routed::Open(decision) => decision,
            Routed::Refused(reason) => give_up(self.rollout(), reason),
            Routed::Served => self.pointing(self.traffic.from, || Decision::Restored),
        }
    }
}

fn changed(weights: Weights) -> String {
    format!("somebody else changed the weights to {weights}")
}

/// What a rollout on tracks sleeps for; none where there is something to do.
pub fn sleeps(rollout: &Rollout, now: Timestamp) -> Option<String> {
    let traffic = rollout
        .traffic
        .as_deref()
        .filter(|_| rollout.phase == Phase::Baking)?;
    if traffic.hurry.is_some() {
        return None;
    }
    let ahead = |until: Option<Timestamp>| until.filter(|until| now < *until);
    if let Some(until) = ahead(traffic.bake_until) {
        return Some(format!("its weight is baked until {until}"));
    }
    if let Some(until) = ahead(rollout.held_until) {
        return Some(format!("held until {until}"));
    }
    let pause = traffic.pause.as_ref()?;
    (pause.until.is_none() || ahead(pause.until).is_some()).then(|| pause.said())
}

enum Destination {
    Ready,
    Dead(String),
    Open(Decision),
}

enum Routed {
    Served,
    Refused(String),
    Open(Decision),
}

fn sleep(now: Timestamp, until: Timestamp) -> u64 {
    until
        .duration_since(now)
        .as_secs()
        .clamp(1, LONGEST_SLEEP)
        .unsigned_abs()
}

#[cfg(test)]
#[path = "on_tracks_tests.rs"]
mod tests;
