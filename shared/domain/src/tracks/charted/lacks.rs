//! What a chart lacks to be there twice: each lack says which object, which field, and which value would have to be taken.

use super::values::texts;
use super::{Charts, Rendered, neutral};
use crate::helm::workloads;
use crate::pipeline::is_root_service;
use crate::tracks::render::apart::{Selector, spec_selector};
use crate::tracks::render::{LONGEST_NAME, is_service, name_of};
use crate::tracks::{Track, TrackServices};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Helm, `pkg/chart/common/util`, `ValidateReleaseName`.
const LONGEST_RELEASE: usize = 53;
/// What brings requests to a Service from outside (Kubernetes; Gateway API; Istio; Traefik).
const ROUTES: [&str; 7] = [
    "Ingress",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "TLSRoute",
    "VirtualService",
    "IngressRoute",
];

/// Everything that a chart lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chart cannot be on two tracks: {}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Lacks(pub Vec<Lack>);

/// One thing that a chart lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Which object: `Service mc-api`.
    pub object: String,
    /// Which of its fields: `metadata.name`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lack {
            object,
            field,
            problem,
            right,
        } = self;
        write!(f, "{object}: `{field}` {problem}. Right: {right}")
    }
}

/// The names of the Services, without their track, that select pods of the release on both tracks.
pub(super) fn roots(tracks: &BTreeMap<Track, Rendered>, image: &str) -> BTreeSet<String> {
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

/// The pods of a Deployment.
#[derive(Clone, Copy)]
struct Pods<'a> {
    name: &'a str,
    labels: &'a Value,
}

fn pods(objects: &[Value]) -> Vec<Pods<'_>> {
    let deployments = objects.iter().filter(|object| kind_of(object) == "Deployment");
    deployments
        .filter_map(|object| {
            Some(Pods {
                name: name_of(object),
                labels: object.pointer("/spec/template/metadata/labels")?,
            })
        })
        .collect()
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

/// The Deployments whose pods a Service selects, by name.
pub(super) fn behind(rendered: &Rendered, service: &Value) -> Vec<String> {
    let selector = spec_selector(service);
    let own = pods(&rendered.objects).into_iter().filter(|pod| {
        selector
            .as_ref()
            .is_some_and(|selector| selector.matches(pod.labels))
    });
    own.map(|pod| pod.name.to_owned()).collect()
}

fn kind_of(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

fn label(object: &Value) -> String {
    format!("{} {}", kind_of(object), name_of(object))
}

/// By what an object selects pods, and in which field.
fn selecting(object: &Value) -> Option<(&'static str, Selector<'_>)> {
    match kind_of(object) {
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let selector = Selector::of(object.pointer("/spec/selector")?)?;
            Some(("spec.selector.matchLabels", selector))
        }
        "Service" => Some(("spec.selector", spec_selector(object)?)),
        "PodDisruptionBudget" => Some(("spec.selector.matchLabels", spec_selector(object)?)),
        "NetworkPolicy" => Some(("spec.podSelector.matchLabels", spec_selector(object)?)),
        _ => None,
    }
}

/// `app=mc-api, tier=web`
fn selected(object: &Value) -> String {
    let pointers = [
        "/spec/selector/matchLabels",
        "/spec/podSelector/matchLabels",
        "/spec/selector",
    ];
    let labels = pointers
        .iter()
        .find_map(|pointer| object.pointer(pointer)?.as_object());
    let pairs = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Looks for everything that is lacking.
pub(super) struct Looking<'a> {
    charts: &'a Charts<'a>,
    image: &'a str,
    found: Vec<Lack>,
}

impl<'a> Looking<'a> {
    pub(super) fn new(charts: &'a Charts<'a>, image: &'a str) -> Self {
        Self {
            charts,
            image,
            found: Vec::new(),
        }
    }

    /// The name of the Service by which the workload is known, where nothing is lacking.
    pub(super) fn looked(mut self) -> Result<String, Lacks> {
        self.releases();
        self.names();
        self.kinds();
        self.selectors();
        self.selectors_before();
        let root = self.root();
        match root.filter(|_| self.found.is_empty()) {
            Some(root) => Ok(root),
            None => Err(Lacks(self.found)),
        }
    }

    fn lack(&mut self, object: impl Into<String>, field: &'static str, problem: String, right: String) {
        let lack = Lack {
            object: object.into(),
            field,
            problem,
            right,
        };
        if !self.found.contains(&lack) {
            self.found.push(lack);
        }
    }

    fn objects(&self, track: Track) -> &'a [Value] {
        let rendered = self.charts.tracks.get(&track);
        rendered
            .map(|rendered| rendered.objects.as_slice())
            .unwrap_or_default()
    }

    /// The values that are names: `fullnameOverride (mc-api-blue on blue)`.
    fn naming(&self) -> String {
        self.taking(|text| text != Track::Blue.as_str())
    }

    /// The values that are labels, or else those that are names.
    fn labelling(&self) -> String {
        self.taking(|_| true)
    }

    fn taking(&self, is_it: impl Fn(&str) -> bool) -> String {
        let blue = self.charts.tracks.get(&Track::Blue);
        let blue = blue.map(|rendered| texts(&rendered.values)).unwrap_or_default();
        let of_track = blue
            .into_iter()
            .filter(|(_, text)| text.contains(Track::Blue.as_str()) && is_it(text));
        let said: Vec<String> = of_track
            .map(|(path, text)| format!("`{path}` ({text} on blue)"))
            .collect();
        if said.is_empty() {
            "a value of [workload.helm.tracks] with {track} in it".to_owned()
        } else {
            said.join(" or ")
        }
    }

    fn releases(&mut self) {
        let longest = self
            .charts
            .tracks
            .values()
            .map(|rendered| rendered.release.as_str());
        let Some(longest) = longest.filter(|name| name.len() > LONGEST_RELEASE).max() else {
            return;
        };
        let problem = format!("has more than {LONGEST_RELEASE} characters, which Helm does not take");
        let right = "a shorter `release` in [workload.helm]".to_owned();
        self.lack(format!("Helm release {longest}"), "name", problem, right);
    }

    /// No name is on both tracks, or is there already.
    fn names(&mut self) {
        let green = self.objects(Track::Green);
        for object in self.objects(Track::Blue) {
            let same = |other: &Value| kind_of(other) == kind_of(object) && name_of(other) == name_of(object);
            let right = format!("a chart that makes it from {}", self.naming());
            if green.iter().any(same) {
                let problem = "is the same on both tracks".to_owned();
                self.lack(label(object), "metadata.name", problem, right);
            }
        }
        for track in [Track::Blue, Track::Green] {
            for object in self.objects(track) {
                let same =
                    |other: &Value| kind_of(other) == kind_of(object) && name_of(other) == name_of(object);
                let is_both = self.objects(track.other()).iter().any(same);
                if !is_both && self.charts.before.iter().any(same) {
                    let problem = format!(
                        "is that of an object of the Helm release {}, which is there already",
                        self.charts.helm.release
                    );
                    let right = format!("a chart that makes it from {}", self.naming());
                    self.lack(label(object), "metadata.name", problem, right);
                }
            }
        }
        self.pairs();
    }

    /// Each Deployment is on both tracks, and is known by its name without the track.
    fn pairs(&mut self) {
        let named = |track: Track| -> Vec<(&'a str, Option<String>)> {
            let deployments = self
                .objects(track)
                .iter()
                .filter(|object| kind_of(object) == "Deployment");
            deployments
                .map(|object| (name_of(object), neutral(name_of(object), track)))
                .collect()
        };
        let (blue, green) = (named(Track::Blue), named(Track::Green));
        for (own, others, track) in [(&blue, &green, Track::Blue), (&green, &blue, Track::Green)] {
            for (name, without) in own.iter() {
                let is_same = others.iter().any(|(other, _)| other == name);
                let is_paired = without.is_some() && others.iter().any(|(_, other)| other == without);
                if is_same || is_paired {
                    continue;
                }
                let problem = format!(
                    "does not say the track between hyphens, so that its like on {} is not known",
                    track.other()
                );
                let right = format!("a chart that makes it from {}", self.naming());
                self.lack(format!("Deployment {name}"), "metadata.name", problem, right);
            }
        }
    }

    /// What cannot be there twice, or would bring requests to a track past the router.
    fn kinds(&mut self) {
        for object in self.objects(Track::Blue) {
            let kind = kind_of(object);
            let leave_out = |what: &str| format!("a value with which the chart leaves it out{what}");
            let (field, problem, right) = match kind {
                "StatefulSet" => (
                    "kind",
                    "would be there once for each track, each with data of its own",
                    leave_out(", and a release of its own for it"),
                ),
                "DaemonSet" => (
                    "kind",
                    "would run on every node once for each track, whatever its weight",
                    leave_out(""),
                ),
                "CronJob" => (
                    "kind",
                    "would run once for each track",
                    leave_out(", and a release of its own for it"),
                ),
                _ if ROUTES.contains(&kind) => (
                    "spec",
                    "brings requests to the track past the router",
                    leave_out(
                        ", and one outside of the chart, before the Service by which the workload is known",
                    ),
                ),
                "Service"
                    if object.pointer("/spec/type").is_some_and(|found| {
                        found == "LoadBalancer" || found == "NodePort" || found == "ExternalName"
                    }) =>
                {
                    (
                        "spec.type",
                        "gives the track an address of the outside past the router",
                        "a value with which it is ClusterIP".to_owned(),
                    )
                }
                "HorizontalPodAutoscaler"
                    if object
                        .get("apiVersion")
                        .is_none_or(|version| version != "autoscaling/v2") =>
                {
                    (
                        "apiVersion",
                        "is not the one in which Sluice writes its bounds",
                        "a chart that renders autoscaling/v2".to_owned(),
                    )
                }
                _ => continue,
            };
            self.lack(label(object), field, problem.to_owned(), right);
        }
    }

    /// Nothing of one track selects the other's pods. Said once where it is so both ways.
    fn selectors(&mut self) {
        let mut said = BTreeSet::new();
        for track in [Track::Blue, Track::Green] {
            let others = pods(self.objects(track.other()));
            for object in self.objects(track) {
                let Some((field, selector)) = selecting(object) else {
                    continue;
                };
                let met: Vec<&str> = others
                    .iter()
                    .filter(|pods| selector.matches(pods.labels))
                    .map(|pods| pods.name)
                    .collect();
                let without = neutral(name_of(object), track).unwrap_or_else(|| name_of(object).to_owned());
                if met.is_empty() || !said.insert((kind_of(object), without)) {
                    continue;
                }
                let problem = format!(
                    "({}) matches the pods of Deployment {} on {} too",
                    selected(object),
                    met.join(", "),
                    track.other()
                );
                let right = format!(
                    "a chart that puts a label of the track into it and into the pods' labels, from {}",
                    self.labelling()
                );
                self.lack(label(object), field, problem, right);
            }
        }
    }

    /// Nothing that was there before selects a track's pods: they would get its traffic before their time.
    fn selectors_before(&mut self) {
        let root = self.charts.root.filter(|_| self.charts.adopts);
        let there: Vec<&'a Value> = self
            .charts
            .before
            .iter()
            .chain(self.charts.live)
            .chain(root)
            .collect();
        self.selects_there();
        for object in there {
            if kind_of(object) == "NetworkPolicy" {
                continue;
            }
            let Some((field, selector)) = selecting(object) else {
                continue;
            };
            let own = pods(self.objects(self.charts.idle));
            let met: Vec<&str> = own
                .iter()
                .filter(|pods| selector.matches(pods.labels))
                .map(|pods| pods.name)
                .collect();
            if met.is_empty() {
                continue;
            }
            let problem = format!(
                "({}) matches the pods of Deployment {}, and it is there already",
                selected(object),
                met.join(", ")
            );
            let right = format!(
                "a chart that takes one of these labels of its pods from {}",
                self.labelling()
            );
            self.lack(label(object), field, problem, right);
        }
    }

    /// Nor does the track select anything that is there.
    fn selects_there(&mut self) {
        let there: Vec<Pods<'a>> = pods(self.charts.before)
            .into_iter()
            .chain(pods(self.charts.live))
            .collect();
        for object in self.objects(self.charts.idle) {
            let Some((field, selector)) = selecting(object) else {
                continue;
            };
            let met: Vec<&str> = there
                .iter()
                .filter(|pods| selector.matches(pods.labels))
                .map(|pods| pods.name)
                .collect();
            if met.is_empty() {
                continue;
            }
            let problem = format!(
                "({}) matches the pods of Deployment {}, which are there already",
                selected(object),
                met.join(", ")
            );
            let right = format!(
                "a chart that puts a label of the track into it and into the pods' labels, from {}",
                self.labelling()
            );
            self.lack(label(object), field, problem, right);
        }
    }

    /// Each track has a Service of the one name, and what is there before can be shared out by it.
    fn root(&mut self) -> Option<String> {
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
