//! What the environment's alarms say, where the next decision asks for it.

use jiff::Timestamp;
use sluice_alarms::Alarms;
use sluice_domain::alarm::{AlarmsSeen, RequestsSeen, Window, judge, standing_before};
use sluice_domain::environment::{Phase, Rollout};
use sluice_domain::pipeline::{EnvironmentSpec, Strategy};
use sluice_domain::tracks::{Track, Traffic};
use sluice_domain::workload::Verdict;
use sluice_watching::place_of;

/// Before the first traffic: what stands in ALARM and could not blame the release. At the end of a bake: what they say of it.
/// None where they are not asked. With it, what was seen of them.
pub(crate) async fn said(
    alarms: &Alarms,
    rollout: &Rollout,
    spec: &EnvironmentSpec,
    now: Timestamp,
) -> Option<(Verdict, AlarmsSeen)> {
    if spec.alarms.is_empty() || rollout.promotion().is_none() {
        return None;
    }
    let traffic = rollout.traffic.as_deref();
    match (rollout.phase, traffic) {
        (Phase::Starting, _) => Some(before(alarms, rollout, spec).await),
        (Phase::Rolling, Some(traffic)) if traffic.weights.is_none() => {
            Some(before(alarms, rollout, spec).await)
        }
        (Phase::Baking, Some(traffic)) if is_over(traffic, now) => {
            Some(at_the_end(alarms, rollout, traffic, spec, now).await)
        }
        _ => None,
    }
}

fn is_over(traffic: &Traffic, now: Timestamp) -> bool {
    traffic.hurry.is_some() || traffic.bake_until.is_none_or(|until| now >= until)
}

async fn before(alarms: &Alarms, rollout: &Rollout, spec: &EnvironmentSpec) -> (Verdict, AlarmsSeen) {
    let seen = alarms.states(&place_of(spec), &spec.alarms).await;
    let standing = standing_before(&spec.alarms, &seen, &rollout.despite);
    (standing.map_or(Verdict::Passed, Verdict::Inconclusive), seen)
}

async fn at_the_end(
    alarms: &Alarms,
    rollout: &Rollout,
    traffic: &Traffic,
    spec: &EnvironmentSpec,
    now: Timestamp,
) -> (Verdict, AlarmsSeen) {
    // What turned in an earlier stage blames the release too.
    let shifted_at = traffic.first_shift.unwrap_or(rollout.started_at);
    let place = place_of(spec);
    let seen = alarms.look(&place, &spec.alarms, shifted_at).await;
    let requests = requests(alarms, traffic, spec, now).await;
    let judgement = judge(
        &spec.alarms,
        &seen,
        requests.as_ref(),
        Window { shifted_at, now },
        &rollout.despite,
    );
    (judgement.verdict, seen)
}

async fn requests(
    alarms: &Alarms,
    traffic: &Traffic,
    spec: &EnvironmentSpec,
    now: Timestamp,
) -> Option<RequestsSeen> {
    let Strategy::Canary(canary) = &spec.strategy else {
        return None;
    };
    let requests = canary.requests.as_ref()?;
    let track = traffic.to.unwrap_or(Track::Blue);
    let since = traffic.shifted_at.or(traffic.first_shift)?;
    let service = traffic.route.services.of(track);
    let counted = alarms
        .count(&place_of(spec), requests, &service, since, now)
        .await;
    Some(RequestsSeen {
        counted,
        at_least: requests.at_least,
    })
}
