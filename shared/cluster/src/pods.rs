//! One pod, as its status says. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use sluice_domain::workload::{ObservedPod, PodProblem};
use std::collections::BTreeMap;

/// Why a container waits, where waiting does not help: the kubelet's words (Kubernetes, `pkg/kubelet/images` and
/// `pkg/kubelet/container`). `ErrImagePull` is not among them: it is the first try, and `ImagePullBackOff` follows.
const HOPELESS: [&str; 7] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

pub(crate) fn observed_pod(pod: &Pod, current: bool) -> ObservedPod {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    ObservedPod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        current,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        ended: status
            .phase
            .as_deref()
            .is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase)),
        ready: ready_since(status).is_some(),
        created_at: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        ready_at: ready_since(status).flatten(),
        images: spec_images(pod),
        image_ids: containers(status)
            .filter(|c| !c.image_id.is_empty())
            .map(|c| (c.name.clone(), c.image_id.clone()))
            .collect(),
        problem: containers(status).find_map(problem_of),
        unscheduled: unscheduled(status),
    }
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
}

fn spec_images(pod: &Pod) -> BTreeMap<String, String> {
    let containers = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    containers
        .filter_map(|container| Some((container.name.clone(), container.image.clone()?)))
        .collect()
}

/// Since when it is ready, as far as that is said; the outer none: it is not.
fn ready_since(status: &PodStatus) -> Option<Option<Timestamp>> {
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.find(|one| one.type_ == "Ready" && one.status == "True")?;
    Some(ready.last_transition_time.as_ref().map(|time| time.0))
}

/// State, reason and message of a condition.
fn condition<'s>(status: &'s PodStatus, kind: &str) -> Option<(&'s str, Option<&'s str>, Option<&'s str>)> {
    let found = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind)?;
    Some((&found.status, found.reason.as_deref(), found.message.as_deref()))
}

fn unscheduled(status: &PodStatus) -> Option<String> {
    match condition(status, "PodScheduled")? {
        ("False", Some("Unschedulable"), message) => Some(message.unwrap_or("no reason is given").to_owned()),
        _ => None,
    }
}

fn problem_of(container: &ContainerStatus) -> Option<PodProblem> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| HOPELESS.contains(reason))?;
    let said = waiting
        .message
        .clone()
        .unwrap_or_else(|| "no reason is given".to_owned());
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    // How it ended says more than how long the kubelet waits; a pull has no such end.
    let message = match last.filter(|_| reason == "CrashLoopBackOff") {
        Some(last) => format!("{}; {said}", ending(last)),
        None => said,
    };
    Some(PodProblem {
        container: container.name.clone(),
        reason: reason.to_owned(),
        message,
    })
}

/// How a container ended: `exit code 1 (Error): cannot open the database`.
fn ending(last: &ContainerStateTerminated) -> String {
    let mut text = match last.signal {
        Some(signal) if signal != 0 => format!("ended by signal {signal}"),
        _ => format!("exit code {}", last.exit_code),
    };
    if let Some(reason) = last.reason.as_deref().filter(|reason| !reason.is_empty()) {
        text.push_str(&format!(" ({reason})"));
    }
    if let Some(message) = last
        .message
        .as_deref()
        .map(str::trim)
        .filter(|message| !message.is_empty())
    {
        text.push_str(&format!(": {message}"));
    }
    text
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
