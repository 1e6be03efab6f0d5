//! What a look sees of the cluster, and what it must not go on over.

use crate::cluster::{Alarms, Cluster, FULL, Standing};
use crate::rows::Act;
use crate::samples::{image, name_at, parts, place_of, track_at};
use sluice_domain::environment::Rollout;
use sluice_domain::ids::Fence;
use sluice_domain::tracks::{self, Track, TrafficSeen, Weights};
use sluice_domain::workload::{Observation, ObservedDeployment, ObservedPod, PodProblem};
use std::collections::BTreeMap;

pub fn observation(seen: &Cluster) -> Observation {
    let there = (0..3_u8).filter(|at| seen.places[usize::from(*at)].release > 0);
    let deployments = there.map(|at| deployment(at, seen)).collect();
    Observation {
        deployments,
        highest_fence: Fence(0),
    }
}

pub fn deployment(at: u8, seen: &Cluster) -> ObservedDeployment {
    let place = seen.places[usize::from(at)];
    let images = BTreeMap::from([("api".to_owned(), image(u32::from(place.release)))]);
    let pod = |number: u8| ObservedPod {
        name: format!("{number}"),
        current: true,
        terminating: false,
        ended: false,
        ready: number < place.ready,
        created_at: None,
        ready_at: None,
        images: images.clone(),
        image_ids: images.clone(),
        problem: place.crashes.then(|| PodProblem {
            container: "api".into(),
            reason: "CrashLoopBackOff".into(),
            message: String::new(),
        }),
        unscheduled: None,
    };
    ObservedDeployment {
        kind: Default::default(),
        name: name_at(at),
        generation: 1,
        observed_generation: 1,
        wanted: i32::from(place.want),
        total: i32::from(place.want),
        updated: i32::from(place.want),
        available: i32::from(place.ready),
        fence: Fence(u64::from(place.fence)),
        images: images.clone(),
        labels: BTreeMap::new(),
        spec: serde_json::Value::Null,
        template: serde_json::Value::Null,
        failures: vec![],
        autoscaled: false,
        pods: (0..place.want).map(pod).collect(),
    }
}

pub fn traffic_seen(seen: &Cluster) -> TrafficSeen {
    let [original, blue, green] = seen.weights.map(u32::from);
    TrafficSeen {
        weights: Ok(Weights {
            original,
            blue,
            green,
        }),
        fence: Fence(u64::from(seen.router_fence)),
        standing: match seen.standing {
            Standing::Pending => tracks::Standing::Pending("soon".into()),
            Standing::Accepted => tracks::Standing::Accepted,
            Standing::Refused => tracks::Standing::Refused("no".into()),
        },
        pointed: Some(track_at(seen.root)),
        pointed_fence: Fence(u64::from(seen.root_fence)),
        ready: [(Track::Blue, 1_usize), (Track::Green, 2)]
            .map(|(track, at)| (track, u32::from(seen.places[at].ready)))
            .into(),
    }
}

/// Why an act goes on over something that was not seen to be so: invariant 5, said once more in the words of the model.
pub fn unsound(act: Act, rollout: &Rollout, seen: &Cluster) -> Option<&'static str> {
    let Some(traffic) = &rollout.traffic else {
        let loud = seen.alarms != Alarms::Quiet;
        return (act == Act::Begin && loud).then_some("begun although alarms were not quiet");
    };
    let is_served = |weights: Weights| {
        seen.standing == Standing::Accepted
            && Fence(u64::from(seen.router_fence)) == rollout.fence
            && seen.weights == parts(weights)
    };
    let is_ready = |place: u8| seen.places[usize::from(place)].ready >= FULL && seen.root == place;
    let quiet = seen.alarms == Alarms::Quiet;
    let promotes = rollout.promotion().is_some();
    let failed = match act {
        Act::Shift => promotes && traffic.weights.is_none() && !quiet,
        Act::Bake => !traffic.weights.is_some_and(is_served),
        Act::Advance(_) if traffic.hurry.is_some() => seen.alarms == Alarms::Blame,
        Act::Advance(_) => {
            let kept = traffic.weights.map(parts) == Some(seen.weights);
            !quiet || !kept || seen.standing != Standing::Accepted
        }
        Act::Verify => !traffic.weights.is_some_and(is_served) || !is_ready(place_of(traffic.to)),
        Act::Restored if traffic.has_other && traffic.weights.is_some() => {
            !is_served(traffic.weights_before()) || !is_ready(place_of(traffic.from))
        }
        _ => false,
    };
    failed.then_some("it went on over what was not seen to be so")
}
