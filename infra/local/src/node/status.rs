//! The status that a kubelet writes, from what its containers do. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// One container as its pod's status shows it.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name.
    pub name: String,
    /// As its spec names it.
    pub image: String,
    /// Runs before the others.
    pub init: bool,
    /// An init container that keeps running beside the others.
    pub sidecar: bool,
    /// `<repository>@<digest>` once pulled.
    pub image_id: String,
    /// What it does now.
    pub state: State,
    /// How it ended last, before it was started again.
    pub last: Option<Ended>,
    /// Times it was started again.
    pub restarts: u32,
}

/// What a container does now.
#[derive(Debug, Clone)]
pub enum State {
    /// It does not run: reason and message.
    Waiting(&'static str, String),
    /// It runs since then, and is ready or not.
    Running(Timestamp, bool),
    /// It has ended.
    Ended(Ended),
}

/// How a container ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Termination message.
    pub message: String,
    /// When it had started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What stays the same over a pod's life, and when its conditions last changed.
#[derive(Debug, Clone)]
pub struct Record {
    /// The pod's address.
    pub ip: String,
    /// The node's address.
    pub node_ip: String,
    /// When the kubelet first saw the pod.
    pub start: Timestamp,
    /// `spec.restartPolicy`.
    pub restart_policy: String,
    /// Each condition's value and since when.
    pub conditions: BTreeMap<&'static str, (bool, Timestamp)>,
}

impl View {
    fn succeeded(&self) -> bool {
        matches!(&self.state, State::Ended(ended) if ended.code == 0)
    }

    /// Done with its part of the pod's initialisation.
    fn initialised(&self) -> bool {
        if self.sidecar {
            matches!(self.state, State::Running(..))
        } else {
            self.succeeded()
        }
    }

    fn ready(&self) -> bool {
        matches!(self.state, State::Running(_, true)) || (self.init && self.succeeded())
    }

    /// Has never run.
    fn unstarted(&self) -> bool {
        matches!(self.state, State::Waiting(..)) && self.last.is_none()
    }

    fn stopped(&self) -> bool {
        matches!(self.state, State::Ended(_))
            || (matches!(self.state, State::Waiting(..)) && self.last.is_some())
    }
}

/// The pod's phase, by the rules of kubelet's getPhase.
pub fn phase(views: &[View], restart_policy: &str) -> &'static str {
    let main: Vec<&View> = views.iter().filter(|view| !view.init).collect();
    let initialised = views.iter().filter(|view| view.init).all(View::initialised);
    if !initialised {
        let failed = views
            .iter()
            .any(|view| view.init && !view.sidecar && matches!(&view.state, State::Ended(e) if e.code != 0));
        return if failed && restart_policy == "Never" {
            "Failed"
        } else {
            "Pending"
        };
    }
    if main.iter().any(|view| view.unstarted()) {
        return "Pending";
    }
    if !main.iter().all(|view| view.stopped()) || restart_policy == "Always" {
        return "Running";
    }
    if main.iter().all(|view| view.succeeded()) {
        return "Succeeded";
    }
    if restart_policy == "Never" {
        "Failed"
    } else {
        "Running"
    }
}

/// The status to write now. Conditions keep their time while they do not change.
pub fn status(views: &[View], record: &mut Record, now: Timestamp) -> Value {
    let phase = phase(views, &record.restart_policy);
    let initialised = views.iter().filter(|view| view.init).all(View::initialised);
    let ready = initialised && phase == "Running" && views.iter().filter(|view| !view.init).all(View::ready);
    let unready: Vec<&str> = views
        .iter()
        .filter(|view| !view.init && !view.ready())
        .map(|view| view.name.as_str())
        .collect();
    let values = [
        ("PodReadyToStartContainers", true),
        ("Initialized", initialised),
        ("ContainersReady", ready),
        ("Ready", ready),
    ];
    let mut conditions = Vec::new();
    for (kind, value) in values {
        let since = record.conditions.entry(kind).or_insert((value, now));
        if since.0 != value {
            *since = (value, now);
        }
        let mut condition = json!({"type": kind, "status": if value { "True" } else { "False" },
            "lastTransitionTime": since.1.to_string(), "lastProbeTime": null, "reason": null, "message": null});
        if !value && let Some(condition) = condition.as_object_mut() {
            let (reason, message) = explain(kind, phase, &unready);
            condition.insert("reason".into(), reason.into());
            condition.insert("message".into(), message.into());
        }
        conditions.push(condition);
    }
    json!({"phase": phase, "conditions": conditions, "hostIP": record.node_ip, "hostIPs": [{"ip": record.node_ip}],
        "podIP": record.ip, "podIPs": [{"ip": record.ip}], "startTime": record.start.to_string(),
        "containerStatuses": views.iter().filter(|view| !view.init).map(container).collect::<Vec<_>>(),
        "initContainerStatuses": views.iter().filter(|view| view.init).map(container).collect::<Vec<_>>()})
}

fn explain(kind: &str, phase: &str, unready: &[&str]) -> (&'static str, String) {
    match (kind, phase) {
        ("Initialized", _) => (
            "ContainersNotInitialized",
            "containers with incomplete status".into(),
        ),
        (_, "Succeeded") => ("PodCompleted", String::new()),
        (_, "Failed") => ("PodFailed", String::new()),
        _ => (
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        ),
    }
}

fn container(view: &View) -> Value {
    let id = |at: Timestamp| format!("simulated://{}-{}", view.name, at.as_nanosecond());
    let ended = |ended: &Ended| {
        json!({"terminated": {"exitCode": ended.code, "message": ended.message, "containerID": id(ended.started),
            "reason": if ended.code == 0 { "Completed" } else { "Error" },
            "startedAt": ended.started.to_string(), "finishedAt": ended.finished.to_string()}})
    };
    let (state, id, started) = match &view.state {
        State::Waiting(reason, message) => (
            json!({"waiting": {"reason": reason, "message": message}}),
            String::new(),
            false,
        ),
        State::Running(since, _) => (
            json!({"running": {"startedAt": since.to_string()}}),
            id(*since),
            true,
        ),
        State::Ended(end) => (ended(end), id(end.started), false),
    };
    json!({"name": view.name, "image": view.image, "imageID": view.image_id, "containerID": id,
        "ready": view.ready(), "started": started, "restartCount": view.restarts, "state": state,
        "lastState": view.last.as_ref().map_or(json!({}), ended)})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn view(state: State) -> View {
        View {
            name: "api".into(),
            image: "i".into(),
            init: false,
            sidecar: false,
            image_id: String::new(),
            state,
            last: None,
            restarts: 0,
        }
    }
    fn ended(code: i32) -> Ended {
        Ended {
            code,
            message: String::new(),
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
        }
    }
    fn waiting() -> State {
        State::Waiting("CrashLoopBackOff", String::new())
    }
    const RUNNING: State = State::Running(Timestamp::UNIX_EPOCH, true);

    #[test]
    fn phases_follow_getphase() {
        let crashed = View {
            last: Some(ended(1)),
            ..view(waiting())
        };
        let init = |state| View {
            init: true,
            ..view(state)
        };
        for (views, policy, expected) in [
            (vec![view(waiting())], "Always", "Pending"),
            (vec![view(RUNNING)], "Always", "Running"),
            (vec![crashed.clone()], "Always", "Running"),
            (vec![view(State::Ended(ended(0)))], "Never", "Succeeded"),
            (
                vec![view(State::Ended(ended(0))), view(State::Ended(ended(2)))],
                "Never",
                "Failed",
            ),
            (vec![crashed], "OnFailure", "Running"),
            (vec![init(RUNNING), view(waiting())], "Always", "Pending"),
            (
                vec![init(State::Ended(ended(1))), view(waiting())],
                "Never",
                "Failed",
            ),
            (
                vec![init(State::Ended(ended(0))), view(RUNNING)],
                "Always",
                "Running",
            ),
        ] {
            assert_eq!(phase(&views, policy), expected, "{views:?} {policy}");
        }
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let mut record = Record {
            ip: "10.244.0.2".into(),
            node_ip: "10.0.0.1".into(),
            start: Timestamp::UNIX_EPOCH,
            restart_policy: "Always".into(),
            conditions: BTreeMap::new(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let since = |status: &Value| {
            status["conditions"][3]["lastTransitionTime"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let ready = status(&[view(RUNNING)], &mut record, at(1));
        assert_eq!(
            (ready["conditions"][3]["status"].as_str(), since(&ready)),
            (Some("True"), at(1).to_string())
        );
        assert_eq!(
            since(&status(&[view(RUNNING)], &mut record, at(2))),
            at(1).to_string()
        );
        assert_eq!(
            since(&status(&[view(waiting())], &mut record, at(3))),
            at(3).to_string()
        );
    }
}
