#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::{Value, json};

fn observed(status: Value) -> ObservedPod {
    let pod = json!({
        "metadata": {"name": "api-1"},
        "spec": {"initContainers": [{"name": "wait", "image": "w"}], "containers": [{"name": "api", "image": "a"}]},
        "status": status,
    });
    observed_pod(&serde_json::from_value(pod).unwrap(), true)
}

fn container(state: Value, last: Value) -> Value {
    json!({"name": "api", "image": "a", "imageID": "", "ready": false, "restartCount": 1, "state": state, "lastState": last})
}

fn problem(state: Value, last: Value) -> Option<String> {
    let problem = observed(json!({"containerStatuses": [container(state, last)]})).problem?;
    Some(format!(
        "{} {}: {}",
        problem.container, problem.reason, problem.message
    ))
}

#[test]
fn what_waiting_does_not_help_is_a_problem() {
    let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "because"}});
    for reason in [
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ] {
        assert_eq!(
            problem(waiting(reason), json!({})),
            Some(format!("api {reason}: because"))
        );
    }
    for reason in ["ContainerCreating", "PodInitializing", "ErrImagePull"] {
        assert_eq!(problem(waiting(reason), json!({})), None, "{reason}");
    }
    assert_eq!(
        problem(json!({"running": {}}), json!({"terminated": {"exitCode": 1}})),
        None
    );
}

#[test]
fn a_crash_says_how_it_ended() {
    let waiting = || json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
    let ended = |last: Value| problem(waiting(), json!({"terminated": last})).unwrap();
    assert_eq!(
        ended(json!({"exitCode": 1, "reason": "Error", "message": "cannot open the database\n"})),
        "api CrashLoopBackOff: exit code 1 (Error): cannot open the database; back-off 10s"
    );
    assert_eq!(
        ended(json!({"exitCode": 137, "reason": "OOMKilled"})),
        "api CrashLoopBackOff: exit code 137 (OOMKilled); back-off 10s"
    );
    assert_eq!(
        ended(json!({"exitCode": 0, "signal": 9})),
        "api CrashLoopBackOff: ended by signal 9; back-off 10s"
    );
}

#[test]
fn an_init_containers_problem_is_the_pods() {
    let status = json!({"initContainerStatuses": [
        {"name": "wait", "image": "w", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"waiting": {"reason": "ImagePullBackOff"}}},
    ]});
    let problem = observed(status).problem.unwrap();
    assert_eq!(
        (problem.container.as_str(), problem.message.as_str()),
        ("wait", "no reason is given")
    );
}

#[test]
fn conditions_and_phases_are_read() {
    let unscheduled = observed(json!({"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"},
    ]}));
    assert_eq!(
        unscheduled.unscheduled.as_deref(),
        Some("0/3 nodes are available")
    );
    assert!(!unscheduled.ready);
    let gated = observed(
        json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
    );
    assert_eq!(gated.unscheduled, None);
    assert!(observed(json!({"conditions": [{"type": "Ready", "status": "True"}]})).ready);
    assert!(!observed(json!({"conditions": [{"type": "Ready", "status": "Unknown"}]})).ready);
    for (phase, ended) in [
        ("Succeeded", true),
        ("Failed", true),
        ("Running", false),
        ("Pending", false),
    ] {
        assert_eq!(observed(json!({"phase": phase})).ended, ended, "{phase}");
    }
}

#[test]
fn images_of_spec_and_status_are_kept_apart() {
    let status = json!({"containerStatuses": [
        {"name": "api", "image": "a", "imageID": "a@sha256:1", "ready": true, "restartCount": 0},
        {"name": "late", "image": "l", "imageID": "", "ready": false, "restartCount": 0},
    ]});
    let pod = observed(status);
    assert_eq!(
        pod.images.into_iter().collect::<Vec<_>>(),
        [("api".into(), "a".into()), ("wait".into(), "w".into())]
    );
    assert_eq!(
        pod.image_ids.into_iter().collect::<Vec<_>>(),
        [("api".to_owned(), "a@sha256:1".to_owned())]
    );
}
