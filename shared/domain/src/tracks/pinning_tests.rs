//! Autoscalers of what is left, and of what is cooled.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::pipeline::Router;
use crate::samples::route;
use crate::tracks::cold;
use crate::tracks::render_samples::bundle;
use std::collections::BTreeMap;

fn leaving(from: Option<Track>, pinned: &[(&str, i32)]) -> Traffic {
    Traffic {
        pinned: pinned
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size))
            .collect(),
        ..Traffic::new(route(Router::Service), Some(Track::Green), from, BTreeMap::new())
    }
}

/// Name, target, and both bounds.
fn said(objects: &[Value]) -> Vec<String> {
    let each = objects.iter().map(|object| {
        let at = |pointer: &str| object.pointer(pointer).unwrap().to_string().replace('"', "");
        let (least, most) = (at("/spec/minReplicas"), at("/spec/maxReplicas"));
        let target = at("/spec/scaleTargetRef/name");
        format!("{} of {target}: {least} to {most}", at("/metadata/name"))
    });
    each.collect()
}

#[test]
fn what_is_left_is_kept_at_its_size_and_gives_that_back_when_it_is_cooled() {
    let pinned = |from, sizes: &[(&str, i32)]| said(&pins(&bundle(), &leaving(from, sizes)).unwrap());
    let blue = Some(Track::Blue);
    assert_eq!(
        pinned(blue, &[("mc-api", 5)]),
        ["mc-api-blue of mc-api-blue: 5 to 6"]
    );
    // As many as there are may be more than its own most.
    assert_eq!(
        pinned(blue, &[("mc-api", 9)]),
        ["mc-api-blue of mc-api-blue: 9 to 9"]
    );
    // What was there before there were tracks has its own name.
    assert_eq!(pinned(None, &[("mc-api", 5)]), ["mc-api of mc-api: 5 to 6"]);
    // Another workload's autoscaler is not touched.
    assert!(pinned(blue, &[("mc-db", 5)]).is_empty());
    let cooled = cold(&bundle(), blue).unwrap();
    assert_eq!(said(&cooled.objects), ["mc-api-blue of mc-api-blue: 2 to 6"]);
    assert_eq!(cooled.deployments[0].replicas, Some(0));
}
