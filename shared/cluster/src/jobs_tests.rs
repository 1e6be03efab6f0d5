#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn job(status: Value) -> Job {
    read(json!({
        "metadata": {"name": "migrate", "annotations": {"sluice.dev/fence": "4"}},
        "status": status,
    }))
}

fn pod(reason: &str, extra: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "migrate-x"},
        "spec": {"containers": []},
        "status": {"phase": "Pending", "containerStatuses": [
            {"name": "m", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": reason, "message": "said so"}}},
        ]},
    });
    if let Some(extra) = extra.as_object() {
        for (path, value) in extra {
            *pod.pointer_mut(path).unwrap() = value.clone();
        }
    }
    read(pod)
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"failed": 3, "conditions": [
        {"type": kind, "status": status, "reason": "BackoffLimitExceeded", "message": "too often"},
    ]})
}

#[test]
fn a_job_is_over_when_its_conditions_say_so() {
    for (status, complete, failure) in [
        (Value::Null, false, None),
        (json!({"active": 1}), false, None),
        (json!({"succeeded": 1}), false, None),
        (condition("Complete", "True"), true, None),
        (condition("Complete", "False"), false, None),
        (condition("FailureTarget", "True"), false, None),
        (
            condition("Failed", "True"),
            false,
            Some("BackoffLimitExceeded: too often".to_owned()),
        ),
    ] {
        let seen = observed_job("migrate", &job(status.clone()), std::iter::empty());
        assert_eq!(
            (seen.complete, seen.failure.clone()),
            (complete, failure),
            "{status}"
        );
        assert_eq!(seen.is_over(), complete || seen.failure.is_some());
        assert_eq!(seen.fence, Fence(4));
    }
}

#[test]
fn a_pod_that_can_never_start_is_the_jobs_problem() {
    for (what, pod, is_problem) in [
        ("no image", pod("ImagePullBackOff", json!({})), true),
        ("no Secret", pod("CreateContainerConfigError", json!({})), true),
        ("it may come", pod("ContainerCreating", json!({})), false),
        (
            "the Job counts its tries",
            pod("CrashLoopBackOff", json!({})),
            false,
        ),
        (
            "it has ended",
            pod("ImagePullBackOff", json!({"/status/phase": "Failed"})),
            false,
        ),
        (
            "it is deleted",
            pod(
                "ImagePullBackOff",
                json!({"/metadata": {"name": "x", "deletionTimestamp": "2026-11-23T08:00:00Z"}}),
            ),
            false,
        ),
    ] {
        let seen = observed_job("migrate", &job(Value::Null), [&pod].into_iter());
        assert_eq!(seen.problem.is_some(), is_problem, "{what}: {:?}", seen.problem);
    }
    let seen = observed_job(
        "migrate",
        &job(Value::Null),
        [&pod("InvalidImageName", json!({}))].into_iter(),
    );
    assert_eq!(
        seen.problem.unwrap(),
        "pod migrate-x, container m: InvalidImageName: said so"
    );
}
