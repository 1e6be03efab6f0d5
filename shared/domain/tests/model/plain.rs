//! A row without what only tells: reasons, and times that are over.

use crate::samples::{now, soon};
use jiff::Timestamp;
use sluice_domain::environment::{Environment, Rollout};

/// The times that decisions look at.
pub fn times(rollout: &mut Rollout) -> Vec<&mut Timestamp> {
    let mut times = vec![&mut rollout.deadline];
    times.extend(rollout.held_until.as_mut());
    if let Some(traffic) = rollout.traffic.as_deref_mut() {
        times.extend(traffic.bake_until.as_mut());
        times.extend(traffic.pause.as_mut().and_then(|pause| pause.until.as_mut()));
    }
    times
}

pub fn normalise(environment: &mut Environment) {
    environment.to_wake.clear();
    environment.hold = None;
    environment.watch = None;
    if let Some(lease) = &mut environment.lease {
        lease.since = now();
    }
    for live in environment.live.iter_mut().chain(&mut environment.adopted) {
        live.since = now();
    }
    for one in &mut environment.completed {
        one.at = now();
    }
    if let Some(last) = &mut environment.last_rollback {
        last.at = now();
        last.finished_at = None;
    }
    let Some(rollout) = environment.rollout.as_mut() else {
        return;
    };
    rollout.started_at = now();
    rollout.step = None;
    rollout.reason = None;
    rollout.written_at = rollout.written_at.map(|_| now());
    for time in times(rollout) {
        *time = if *time > now() { soon() } else { now() };
    }
    if let Some(traffic) = rollout.traffic.as_deref_mut() {
        traffic.first_shift = traffic.first_shift.map(|_| now());
        traffic.shifted_at = traffic.shifted_at.map(|_| now());
        if let Some(pause) = &mut traffic.pause {
            pause.reason.clear();
        }
    }
}
