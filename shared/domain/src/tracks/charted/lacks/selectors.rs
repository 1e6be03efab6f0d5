//! Nothing selects the pods of somebody else's track.

use super::{Charts, Looking, kind_of, label, neutral};
use crate::tracks::Track;
use crate::tracks::charted::Rendered;
use crate::tracks::render::apart::{Selector, spec_selector};
use crate::tracks::render::name_of;
use serde_json::Value;
use std::collections::BTreeSet;

/// The pods of a Deployment.
#[derive(Clone, Copy)]
pub(super) struct Pods<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a Value,
}

pub(super) fn pods(objects: &[Value]) -> Vec<Pods<'_>> {
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

/// The Deployments whose pods a Service selects, by name.
pub(in crate::tracks::charted) fn behind(rendered: &Rendered, service: &Value) -> Vec<String> {
    let selector = spec_selector(service);
    let own = pods(&rendered.objects).into_iter().filter(|pod| {
        selector
            .as_ref()
            .is_some_and(|selector| selector.matches(pod.labels))
    });
    own.map(|pod| pod.name.to_owned()).collect()
}

impl<'a> Looking<'a> {
    /// Nothing of one track selects the other's pods. Said once where it is so both ways.
    pub(super) fn selectors(&mut self) {
        let mut said = BTreeSet::new();
        for track in [Track::Blue, Track::Green] {
            let others = pods(self.objects(track.other()));
            for object in self.objects(track) {
                let Some((field, matches)) = meets(object, &others) else {
                    continue;
                };
                let without = neutral(name_of(object), track).unwrap_or_else(|| name_of(object).to_owned());
                if !said.insert((kind_of(object), without)) {
                    continue;
                }
                let problem = format!("{matches} on {} too", track.other());
                self.lack(label(object), field, problem, self.with_a_label());
            }
        }
    }

    /// Nothing that the track brings selects what was there before; and nothing that was there selects the track's pods: they
    /// would get its traffic before their time.
    pub(super) fn selectors_before(&mut self) {
        let Charts { before, live, .. } = *self.charts;
        let own = self.objects(self.charts.idle);
        let there: Vec<Pods<'a>> = pods(before).into_iter().chain(pods(live)).collect();
        let right = self.with_a_label();
        self.apart(own, &there, "which are there already", &right);

        let root = self.charts.root.filter(|_| self.charts.adopts);
        let objects = before.iter().chain(live).chain(root);
        let objects = objects.filter(|object| kind_of(object) != "NetworkPolicy");
        let right = format!(
            "a chart that takes one of these labels of its pods from {}",
            self.labelling()
        );
        self.apart(objects, &pods(own), "and it is there already", &right);
    }

    /// None of these objects selects any of these pods; `there` says which of them was there before.
    fn apart<'o>(
        &mut self,
        objects: impl IntoIterator<Item = &'o Value>,
        pods: &[Pods<'_>],
        there: &str,
        right: &str,
    ) {
        for object in objects {
            if let Some((field, matches)) = meets(object, pods) {
                self.lack(
                    label(object),
                    field,
                    format!("{matches}, {there}"),
                    right.to_owned(),
                );
            }
        }
    }

    fn with_a_label(&self) -> String {
        format!(
            "a chart that puts a label of the track into it and into the pods' labels, from {}",
            self.labelling()
        )
    }
}

/// By which field an object selects any of these pods, and what is said of that.
fn meets(object: &Value, pods: &[Pods<'_>]) -> Option<(&'static str, String)> {
    let (field, selector) = selecting(object)?;
    let met = pods.iter().filter(|pods| selector.matches(pods.labels));
    let met: Vec<&str> = met.map(|pods| pods.name).collect();
    let said = || {
        format!(
            "({}) matches the pods of Deployment {}",
            selected(object),
            met.join(", ")
        )
    };
    (!met.is_empty()).then(|| (field, said()))
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
