//! What a promotion on tracks does, told before it is done.

use super::{Route, TRACK_LABEL, Track, Traffic, on_track, pointed, pointing, schedule, size_for};
use crate::bundle::Bundle;
use crate::pipeline::{EnvironmentSpec, Router, Strategy};
use serde_json::Value;

/// Of the first promotion on tracks beside a workload that is there: what is copied, under which names and labels, what is
/// pointed at the copy, and what becomes of the original. A sentence each.
pub fn adoption(target: &Bundle, traffic: &Traffic, spec: &EnvironmentSpec) -> Vec<String> {
    let (Some(track), None, true) = (traffic.to, traffic.from, traffic.has_other) else {
        return Vec::new();
    };
    let Ok(rendered) = on_track(target, track) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for (one, copy) in target.deployments.iter().zip(&rendered.deployments) {
        let labels = selector(copy.manifest.pointer("/spec/selector/matchLabels"));
        told.push(format!(
            "Deployment {} is copied to {}, whose pods carry {labels}: no selector that is there now matches them",
            one.name, copy.name
        ));
    }
    for (one, copy) in target.objects.iter().zip(&rendered.objects) {
        let ([kind, name], [_, copied]) = (words(one), words(copy));
        if kind != "Service" && name != copied {
            told.push(format!("{kind} {name} is copied to {copied}"));
        }
    }
    let root = &traffic.route.services.root;
    let (own, other) = (
        traffic.route.services.of(track),
        traffic.route.services.of(track.other()),
    );
    told.push(format!(
        "Service {own} selects the copy; Service {other} is made beside it, for the next release"
    ));
    told.extend(routed(&traffic.route, root, &own, &other));
    for service in pointed(target) {
        let [_, name] = words(service);
        let labels = selector(pointing(service, target, track).pointer("/spec/selector"));
        told.push(format!(
            "with all of the traffic, Service {name} is pointed at the copy: it selects {labels}"
        ));
    }
    let names: Vec<&str> = target.deployments.iter().map(|one| one.name.as_str()).collect();
    told.push(format!(
        "Deployment {} is retired then: it {}, and is scaled to 0 after that; it is not deleted",
        names.join(", "),
        kept(spec)
    ));
    told
}

/// The same of a chart: the Helm release that is there stays as it is, and those of the tracks come beside it. `original` is
/// what it runs.
pub fn chart_adoption(
    target: &Bundle,
    original: Option<&Bundle>,
    traffic: &Traffic,
    spec: &EnvironmentSpec,
) -> Vec<String> {
    let own = |track: Track| target.helm.as_ref()?.tracks.get(&track);
    let (Some(track), None, Some(original), Some(helm)) = (traffic.to, traffic.from, original, &target.helm)
    else {
        return Vec::new();
    };
    let (Some(this), Some(next)) = (own(track), own(track.other())) else {
        return Vec::new();
    };
    let names = |all: &[crate::bundle::WorkloadBundle]| {
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        names.join(", ")
    };
    let services = &traffic.route.services;
    let (root, service, other) = (&services.root, services.of(track), services.of(track.other()));
    let labels = selector(this.service.pointer("/spec/selector"));
    let mut told = vec![
        format!(
            "Helm release {} stays as it is; beside it {} is installed, with Deployment {}: no selector that is there now matches its pods",
            helm.release,
            this.release,
            names(&this.deployments)
        ),
        format!(
            "Service {service} selects {labels}; Service {other} is made beside it, for the Helm release {}",
            next.release
        ),
    ];
    told.extend(routed(&traffic.route, root, &service, &other));
    told.push(format!(
        "with all of the traffic, Service {root} is pointed at {track}: it selects {labels}"
    ));
    told.push(format!(
        "Deployment {} is retired then: it {}, and is scaled to 0 after that; the Helm release {} is not taken away, as Service {root} may be of it",
        names(&original.deployments),
        kept(spec),
        helm.release
    ));
    told
}

fn kept(spec: &EnvironmentSpec) -> String {
    match spec.watch {
        Some(watch) => format!("keeps its pods while the release is watched, for {watch}"),
        None => "keeps its pods until the promotion is over".to_owned(),
    }
}

/// What the router's object says from the first weights on.
fn routed(route: &Route, root: &str, own: &str, other: &str) -> Option<String> {
    let object = match &route.router {
        Router::HttpRoute(name) => format!("HTTPRoute {name}"),
        Router::AlbIngress { ingress, action } => format!("action {action} of Ingress {ingress}"),
        Router::Service => return None,
    };
    Some(format!(
        "{object} names Services {root}, {own} and {other} from then on, and shares the traffic out between them"
    ))
}

/// What each step of a promotion on tracks does, and what comes after the last. A sentence each.
pub fn steps(target: &Bundle, traffic: &Traffic, spec: &EnvironmentSpec) -> Vec<String> {
    let Some(track) = traffic.to else {
        return Vec::new();
    };
    let stages = schedule(&spec.strategy, traffic.has_other);
    let mut told: Vec<String> = preview(traffic, spec, track).into_iter().collect();
    for (at, stage) in stages.iter().enumerate() {
        let step = match stages.len() {
            1 => String::new(),
            all => format!("step {} of {all}: ", at.saturating_add(1)),
        };
        let pods = pods(target, traffic, track, stage.weight);
        let Some(bake) = stage.bake else {
            told.push(format!(
                "{step}{pods}, then all of the traffic, and {} selects them",
                services(target)
            ));
            continue;
        };
        let alarms = match spec.alarms.as_slice() {
            [] => String::new(),
            alarms => format!(", at whose end {} must be in order", alarms.join(", ")),
        };
        let person = stage
            .pause
            .map(|pause| format!(", then a person is asked to go on, within {pause}"));
        told.push(format!(
            "{step}{pods}, then {} % of the traffic for {bake}{alarms}{}",
            stage.weight,
            person.unwrap_or_default()
        ));
    }
    told.extend(afterwards(traffic, spec));
    told
}

fn preview(traffic: &Traffic, spec: &EnvironmentSpec, track: Track) -> Option<String> {
    let Strategy::BlueGreen(blue_green) = &spec.strategy else {
        return None;
    };
    let (preview, own) = (traffic.route.services.preview(), traffic.route.services.of(track));
    let checks: Vec<&str> = blue_green
        .preview
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    let passes = match checks.as_slice() {
        [] => String::new(),
        checks => format!("; {} must pass there", checks.join(", ")),
    };
    Some(format!(
        "Service {preview} shows the release before it has any traffic, as {own} does{passes}"
    ))
}

/// `2 of 8 pods of mc-api-green are made ready`
fn pods(target: &Bundle, traffic: &Traffic, track: Track, weight: u32) -> String {
    let charted = target.helm.as_ref().and_then(|helm| helm.tracks.get(&track));
    let own = |at: usize| Some(charted?.deployments.get(at)?.name.clone());
    let parts: Vec<String> = target
        .deployments
        .iter()
        .enumerate()
        .map(|(at, one)| {
            let full = traffic.full.get(&one.name).copied().unwrap_or(1);
            let name = own(at).unwrap_or_else(|| track.of(&one.name));
            match size_for(full, weight) {
                size if size >= full => format!("all {full} pods of {name}"),
                size => format!("{size} of {full} pods of {name}"),
            }
        })
        .collect();
    format!("{} are made ready", parts.join(" and "))
}

fn services(target: &Bundle) -> String {
    let names: Vec<&str> = pointed(target)
        .into_iter()
        .map(|service| {
            let [_, name] = words(service);
            name
        })
        .collect();
    format!("Service {}", names.join(", "))
}

fn afterwards(traffic: &Traffic, spec: &EnvironmentSpec) -> Option<String> {
    if !traffic.has_other {
        return spec.watch.map(|watch| format!("then it is watched for {watch}"));
    }
    let left = traffic.from.map_or("what was there before", Track::as_str);
    let alarms = match spec.alarms.as_slice() {
        [] => String::new(),
        alarms => format!(" by {}", alarms.join(", ")),
    };
    Some(match spec.watch {
        Some(watch) => format!(
            "then it is watched for {watch}{alarms}; {left} stays warm meanwhile, so that a rollback is one change of weights"
        ),
        None => format!("then {left} gives its pods back: without `watch` it is not kept warm"),
    })
}

/// Kind and name.
fn words(object: &Value) -> [&str; 2] {
    ["/kind", "/metadata/name"].map(|at| object.pointer(at).and_then(Value::as_str).unwrap_or_default())
}

/// `app=mc-api-blue, sluice.dev/track=blue`; the track's own label last.
fn selector(labels: Option<&Value>) -> String {
    let labels = labels.and_then(Value::as_object);
    let mut pairs: Vec<(&str, &str)> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort_by_key(|(key, _)| (*key == TRACK_LABEL, *key));
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(", ")
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
