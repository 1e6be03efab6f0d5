//! Every place where workloads can be once there are tracks: where they were before, and on both tracks.

use super::Track;
use crate::bundle::Bundle;
use crate::workload::WorkloadRef;
use std::collections::BTreeSet;

/// These workloads, and what they are called on either track. Not of a chart's: its names on a track are its own, and in its
/// bundle ([`everywhere`]).
pub fn on_both(workloads: impl IntoIterator<Item = WorkloadRef>) -> BTreeSet<WorkloadRef> {
    let places = |one: WorkloadRef| {
        let [blue, green] = [Track::Blue, Track::Green].map(|track| WorkloadRef {
            kind: one.kind,
            name: track.of(&one.name),
        });
        [one, blue, green]
    };
    workloads.into_iter().flat_map(places).collect()
}

/// Every place where these bundles' workloads can be; each once.
pub fn everywhere<'b>(bundles: impl IntoIterator<Item = &'b Bundle>) -> Vec<WorkloadRef> {
    let places: BTreeSet<WorkloadRef> = bundles.into_iter().flat_map(places_of).collect();
    places.into_iter().collect()
}

fn places_of(bundle: &Bundle) -> BTreeSet<WorkloadRef> {
    let own = WorkloadRef::all_of(bundle).into_iter();
    match &bundle.helm {
        Some(helm) if bundle.is_charted() => {
            let on_tracks = helm.tracks.values().flat_map(|track| &track.deployments);
            own.chain(on_tracks.map(WorkloadRef::from)).collect()
        }
        _ => on_both(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracks::render_samples::{bundle, two_deployments};

    fn names(places: impl IntoIterator<Item = WorkloadRef>) -> Vec<String> {
        places.into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn a_workload_is_where_it_was_or_on_either_track() {
        let there = [WorkloadRef::deployment("mc-api")];
        assert_eq!(names(on_both(there)), ["mc-api", "mc-api-blue", "mc-api-green"]);
    }

    #[test]
    fn what_several_bundles_have_is_named_once() {
        let (one, two) = (bundle(), two_deployments());
        let both = everywhere([&one, &two]);
        assert_eq!(both.len(), 9, "{both:?}");
        assert_eq!(both, everywhere([&two, &one, &two]));
    }
}
