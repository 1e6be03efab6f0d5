//! What a chart lacks to be there twice: each lack says which object, which field, and which value would have to be taken.

mod root;
mod selectors;

pub(super) use root::roots;
pub(super) use selectors::behind;

use super::values::texts;
use super::{Charts, neutral};
use crate::tracks::Track;
use crate::tracks::render::name_of;
use serde_json::Value;
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

fn kind_of(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

fn label(object: &Value) -> String {
    format!("{} {}", kind_of(object), name_of(object))
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
}
