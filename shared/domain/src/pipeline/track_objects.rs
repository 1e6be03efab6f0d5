//! The manifests of a workload with tracks: whether they can be there twice, once for each track.

use super::files::PipelineFile;
use super::manifest::{finding, is_object_name, label, text_at};
use super::objects::Objects;
use super::root_service::{is_headless, pod_labels, root_service, selects};
use super::scale::targets;
use super::selector;
use super::text::cut;
use super::yaml::Document;
use super::{Fault, FaultKind, ReleasedDeployment, Strategy};
use crate::tracks::{Track, TrackServices};
use serde_json::Value;

/// Volumes of one node, whatever claims it: awsElasticBlockStore is the only one of them that EKS ever had.
const DISKS: [&str; 1] = ["awsElasticBlockStore"];

/// What is wrong with the objects of an environment whose strategy has tracks. `released` are all that run the release.
pub(super) fn check(
    objects: &Objects<'_>,
    released: &[ReleasedDeployment],
    pipeline_file: &PipelineFile<'_>,
) -> Vec<Fault> {
    let strategy = &objects.spec.strategy;
    let runs = |document: &&Document| {
        let name = text_at(&document.value, "/metadata/name");
        released.iter().any(|one| Some(one.name.as_str()) == name)
    };
    let (live, others): (Vec<_>, Vec<_>) = objects.of_kind("Deployment").partition(runs);
    if !strategy.has_tracks() || live.is_empty() {
        return Vec::new();
    }
    let mut tracks = Tracks {
        objects,
        live,
        others,
        faults: Vec::new(),
    };
    tracks.check_service(strategy, pipeline_file);
    tracks.check_budgets(strategy);
    tracks.check_autoscalers();
    for deployment in tracks.live.clone() {
        tracks.check_names(deployment);
        tracks.check_pods(deployment);
    }
    tracks.faults
}

struct Tracks<'o> {
    objects: &'o Objects<'o>,
    /// The Deployments that run the release.
    live: Vec<&'o Document>,
    /// Those that do not.
    others: Vec<&'o Document>,
    faults: Vec<Fault>,
}

impl<'o> Tracks<'o> {
    fn add(&mut self, document: &Document, kind: FaultKind, key: &str, problem: String, right: &str) {
        let key = format!("{} {key}", label(&document.value));
        let fault = finding(document, kind, key.trim_end(), problem, right.to_owned());
        self.faults.push(fault);
    }

    fn check_service(&mut self, strategy: &Strategy, pipeline_file: &PipelineFile<'_>) {
        let services: Vec<&Document> = self.objects.of_kind("Service").collect();
        let deployments: Vec<&Value> = self.live.iter().map(|document| &document.value).collect();
        let found = root_service(
            strategy.service(),
            services.iter().map(|document| &document.value),
            &deployments,
        );
        let root = match found {
            Ok(root) => root,
            Err(error) => {
                let (problem, right) = (error.to_string(), error.right().to_owned());
                let name = &self.objects.spec.name;
                let fault = pipeline_file.environment_fault(name, "strategy", problem, right);
                self.faults.push(fault);
                return;
            }
        };
        for document in services {
            if text_at(&document.value, "/metadata/name") == Some(root.as_str()) {
                self.check_names(document);
            } else {
                self.check_other(document, &root);
            }
        }
        let preview = TrackServices { root }.preview();
        if let (Strategy::BlueGreen(_), Some(taken)) = (strategy, self.named("Service", &preview)) {
            self.taken(taken, "the Service of the idle track is called");
        }
    }

    /// Another Service before the same pods. A headless one is for metrics, of both tracks' pods.
    fn check_other(&mut self, service: &Document, root: &str) {
        let before = |deployment: &&Document| selects(&service.value, &deployment.value);
        if !is_headless(&service.value) && self.live.iter().any(before) {
            let problem =
                format!("selects the release's pods, too: what comes through it follows no weight of {root}");
            let right =
                "one Service for what the router shares out, with several ports where there are several";
            self.add(service, FaultKind::Warning, "spec.selector", problem, right);
        }
    }

    fn named(&self, kind: &str, name: &str) -> Option<&'o Document> {
        let is_it = |document: &&Document| text_at(&document.value, "/metadata/name") == Some(name);
        self.objects.of_kind(kind).find(is_it)
    }

    fn taken(&mut self, document: &Document, what: &str) {
        let problem = format!("has the name that {what}");
        self.add(
            document,
            FaultKind::Conflict,
            "metadata.name",
            problem,
            "another name",
        );
    }

    /// An object that is there once for each track, each with a name of its own.
    fn check_names(&mut self, document: &Document) {
        let kind = text_at(&document.value, "/kind").unwrap_or_default();
        let name = text_at(&document.value, "/metadata/name").unwrap_or_default();
        for track in [Track::Blue, Track::Green] {
            let of_track = track.of(name);
            if let Some(taken) = self.named(kind, &of_track) {
                self.taken(taken, &format!("the track {track} of {kind} {} has", cut(name)));
            }
        }
        if !is_object_name(&Track::Green.of(name)) {
            let problem = "has a name to which no `-green` can be added".to_owned();
            self.add(
                document,
                FaultKind::Value,
                "metadata.name",
                problem,
                "at most 247 characters",
            );
        }
    }

    /// A budget of the release's pods is there once for each track, and cannot be of others, too.
    fn check_budgets(&mut self, strategy: &Strategy) {
        for document in self.objects.of_kind("PodDisruptionBudget") {
            let wanted = document.value.pointer("/spec/selector").unwrap_or(&Value::Null);
            let has = |deployment: &&&Document| {
                pod_labels(&deployment.value).is_some_and(|labels| selector::selects(wanted, labels))
            };
            if !self.live.iter().any(|deployment| has(&deployment)) {
                continue;
            }
            self.check_names(document);
            let other = self.others.iter().find(has);
            let other = other.map(|other| label(&other.value));
            let right = "a budget for the release's pods alone: it becomes one for each track";
            if let Some(other) = other {
                let problem = format!("selects pods of {other}, too, which has no tracks");
                self.add(document, FaultKind::Conflict, "spec.selector", problem, right);
            } else if selector::is_empty(wanted) {
                let problem = "selects every pod of the namespace".to_owned();
                self.add(document, FaultKind::Conflict, "spec.selector", problem, right);
            }
            let least = document.value.pointer("/spec/minAvailable");
            if matches!(strategy, Strategy::Canary(_)) && least.is_some_and(Value::is_number) {
                let problem =
                    "is a number of pods, and a canary has few: none of them could be evicted".to_owned();
                let right = "maxUnavailable, or a percentage";
                self.add(document, FaultKind::Warning, "spec.minAvailable", problem, right);
            }
        }
    }

    fn check_autoscalers(&mut self) {
        for document in self.objects.of_kind("HorizontalPodAutoscaler") {
            let target = targets(document);
            let is_it = |live: &&Document| text_at(&live.value, "/metadata/name") == target;
            if target.is_none() || !self.live.iter().any(is_it) {
                continue;
            }
            self.check_names(document);
            let metrics = document.value.pointer("/spec/metrics").and_then(Value::as_array);
            let whole = |metric: &Value| matches!(text_at(metric, "/type"), Some("Object" | "External"));
            if metrics.is_some_and(|metrics| metrics.iter().any(whole)) {
                let problem = "measures the whole service, and each track's autoscaler would size its track for all of it";
                let right =
                    "metrics of type Resource, ContainerResource or Pods, which are of a track's own pods";
                self.add(
                    document,
                    FaultKind::Warning,
                    "spec.metrics",
                    problem.to_owned(),
                    right,
                );
            }
        }
    }

    /// Both tracks' pods run at once.
    fn check_pods(&mut self, deployment: &Document) {
        let Some(pods) = deployment.value.pointer("/spec/template/spec") else {
            return;
        };
        let list = |key: &str| pods.get(key).and_then(Value::as_array).into_iter().flatten();
        let on_host = list("containers").filter_map(|container| container.get("ports")?.as_array());
        let has_host_port = on_host.flatten().any(|port| port.get("hostPort").is_some());
        if has_host_port || pods.get("hostNetwork") == Some(&Value::Bool(true)) {
            let problem =
                "takes ports of its node, which has each once: the two tracks' pods need nodes of their own";
            let right = "no hostPort and no hostNetwork, or nodes for the pods of both tracks";
            self.add(
                deployment,
                FaultKind::Warning,
                "spec.template.spec",
                problem.to_owned(),
                right,
            );
        }
        for volume in list("volumes") {
            self.check_volume(deployment, volume);
        }
    }

    fn check_volume(&mut self, deployment: &Document, volume: &Value) {
        let name = text_at(volume, "/name").map_or("?".to_owned(), cut);
        let key = format!("volume {name}");
        let right = "a volume of each pod's own (ephemeral), one that many nodes may write, or strategy = \"rolling\"";
        if let Some(disk) = DISKS.into_iter().find(|disk| volume.get(disk).is_some()) {
            let problem = format!(
                "is one disk ({disk}), which one node has at a time: the two tracks' pods cannot share it"
            );
            self.add(deployment, FaultKind::Conflict, &key, problem, right);
        }
        let Some(claim) = volume.get("persistentVolumeClaim") else {
            return;
        };
        if claim.get("readOnly") != Some(&Value::Bool(true)) {
            let claim = text_at(claim, "/claimName").map_or("?".to_owned(), cut);
            let problem = format!(
                "is the claim {claim}, which both tracks' pods mount at once: a ReadWriteOnce volume is on one node only, \
                 and two releases write it"
            );
            self.add(deployment, FaultKind::Warning, &key, problem, right);
        }
    }
}
