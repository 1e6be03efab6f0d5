//! The Service by which the workload is known: each track has one of its name, and what is there before can be shared out by it.

use super::Looking;
use super::selectors::{Pods, pods};
use crate::helm::workloads;
use crate::pipeline::is_root_service;
use crate::tracks::charted::Rendered;
use crate::tracks::render::apart::spec_selector;
use crate::tracks::render::{LONGEST_NAME, is_service, name_of};
use crate::tracks::{Track, TrackServices};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The names of the Services, without their track, that select pods of the release on both tracks.
pub(in crate::tracks::charted) fn roots(tracks: &BTreeMap<Track, Rendered>, image: &str) -> BTreeSet<String> {
    let of = |track: Track| -> BTreeSet<String> {
        let Some(rendered) = tracks.get(&track) else {
            return BTreeSet::new();
        };
        let pods = released(rendered, image);
        let services = rendered.objects.iter().filter(|object| is_service(object));
        services
            .filter(|service| {
                spec_selector(service).is_some_and(|own| pods.iter().any(|pod| own.matches(pod.labels)))
            })
            .filter_map(|service| Some(name_of(service).strip_suffix(&format!("-{track}"))?.to_owned()))
            .collect()
    };
    of(Track::Blue).intersection(&of(Track::Green)).cloned().collect()
}

/// The pods that run the release.
fn released<'a>(rendered: &'a Rendered, image: &str) -> Vec<Pods<'a>> {
    let found = workloads(&rendered.objects, Some(image)).unwrap_or_default();
    let runs = |name: &str| {
        found
            .iter()
            .any(|one| one.name == name && one.container.is_some())
    };
    let mut pods = pods(&rendered.objects);
    pods.retain(|pods| runs(pods.name));
    pods
}

impl Looking<'_> {
    /// Each track has a Service of the one name, and what is there before can be shared out by it.
    pub(super) fn root(&mut self) -> Option<String> {
        let roots = roots(self.charts.tracks, self.image);
        let several = || roots.iter().cloned().collect::<Vec<_>>().join(", ");
        let root = match (self.charts.service, roots.len()) {
            (Some(named), _) if roots.contains(named) => named.to_owned(),
            (Some(named), _) => {
                self.no_service(named);
                return None;
            }
            (None, 1) => several(),
            (None, 0) => {
                self.no_service(&self.charts.helm.release.clone());
                return None;
            }
            (None, _) => {
                let problem = format!("could be the one by which the workload is known: {}", several());
                let right = "`service` in the strategy".to_owned();
                self.lack("Services of the chart", "metadata.name", problem, right);
                return None;
            }
        };
        if !is_root_service(&root) {
            let services = TrackServices { root: root.clone() };
            let problem = format!(
                "leaves no room for `{}` within {LONGEST_NAME} characters",
                services.preview()
            );
            self.lack(
                format!("Service {root}"),
                "metadata.name",
                problem,
                "a shorter name".to_owned(),
            );
        }
        self.adopted(&root);
        Some(root)
    }

    fn no_service(&mut self, root: &str) {
        let services = self
            .objects(Track::Blue)
            .iter()
            .filter(|object| is_service(object));
        let found: Vec<&str> = services.map(name_of).collect();
        let found = if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        };
        let name = Track::Blue.of(root);
        let problem = format!(
            "is no Service's of the chart that selects the pods of the release on its track alone: it renders {found}"
        );
        let right = format!(
            "a chart whose Service is called {name}, from {}; or another `service` in the strategy",
            self.naming()
        );
        self.lack(format!("Service {name}"), "metadata.name", problem, right);
    }

    /// The Service before what is there is the one that the router knows, or nothing could be shared out with it.
    fn adopted(&mut self, root: &str) {
        let there = pods(self.charts.before);
        if !self.charts.adopts || there.is_empty() {
            return;
        }
        let selects = |service: &Value| {
            spec_selector(service).is_some_and(|own| there.iter().any(|pods| own.matches(pods.labels)))
        };
        if self.charts.root.is_some_and(selects) {
            return;
        }
        let services = self
            .charts
            .before
            .iter()
            .filter(|object| is_service(object) && selects(object));
        let found: Vec<&str> = services.map(name_of).collect();
        let found = if found.is_empty() {
            "none does".to_owned()
        } else {
            format!("{} does", found.join(", "))
        };
        let problem = format!(
            "does not select the pods of Deployment {} of the Helm release {}, which have the traffic: {found}",
            there.iter().map(|pods| pods.name).collect::<Vec<_>>().join(", "),
            self.charts.helm.release
        );
        let right =
            "`service` in the strategy, and values that name the tracks' Services after it".to_owned();
        self.lack(format!("Service {root}"), "spec.selector", problem, right);
    }
}
