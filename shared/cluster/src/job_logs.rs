//! What a Job has printed.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

/// Lines that are asked for of each container.
const LINES: i64 = 2_000;
/// Bytes that are taken of these, so that nobody fills our memory: of lines that are longer the end is missing.
const BYTES: i64 = 1024 * 1024;
/// Characters of a termination message that are told.
const MESSAGE: usize = 200;

impl Namespace {
    /// The end of what the containers of a Job's newest pod have printed, at most so many bytes with the line above each. A
    /// log that is missing is said in the text: the verdict over a Job does not depend on it.
    pub async fn job_logs(&self, name: &str, most_bytes: usize) -> Result<String, ClusterError> {
        let mut pods = self.pods_of_job(name).await?;
        pods.sort_by_key(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref();
            (created.map(|time| time.0), pod.metadata.name.clone())
        });
        let Some(pod) = pods.last() else {
            return Ok(cut(
                &format!("no log: Job {name} has no pod, or none any more\n"),
                most_bytes,
            ));
        };
        let pod_name = pod.metadata.name.clone().unwrap_or_default();
        let mut logs = Vec::new();
        for container in containers(pod) {
            logs.push((
                format!(
                    "--- pod {pod_name}, container {container}{}\n",
                    ended(pod, &container)
                ),
                self.log(&pod_name, &container).await,
            ));
        }
        Ok(joined(&logs, most_bytes))
    }

    async fn log(&self, pod: &str, container: &str) -> String {
        let parameters = &LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(LINES),
            limit_bytes: Some(BYTES),
            ..LogParams::default()
        };
        let get = |client| async move {
            Api::<Pod>::namespaced(client, self.name())
                .logs(pod, parameters)
                .await
        };
        match self.ask(&format!("the log of pod {pod}"), get).await {
            Ok(text) => text,
            Err(error) => format!("no log: {}\n", crate::error::chain(&error)),
        }
    }
}

/// In the order in which they run.
fn containers(pod: &Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    let all = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    all.map(|container| container.name.clone()).collect()
}

/// How a container ended, where it did not end well: one that had too little memory says nothing of it in its log.
fn ended(pod: &Pod, container: &str) -> String {
    let status = pod.status.iter();
    let all = status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    let terminated = all
        .filter(|status| status.name == container)
        .find_map(|status| status.state.as_ref()?.terminated.as_ref());
    let Some(terminated) = terminated.filter(|terminated| terminated.exit_code != 0) else {
        return String::new();
    };
    let code = terminated.exit_code;
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let message = terminated.message.as_deref().unwrap_or_default();
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message: String = message.chars().take(MESSAGE).collect();
    let text = format!(", ended with {code} ({reason}): {message}");
    text.trim_end_matches([':', ' ']).to_owned()
}

/// Each has its share; what one leaves over is the next one's.
fn joined(logs: &[(String, String)], most_bytes: usize) -> String {
    let mut left = most_bytes;
    let mut whole = String::new();
    for (index, (header, text)) in logs.iter().enumerate() {
        let share = left / logs.len().saturating_sub(index).max(1);
        let text = match cut(text.trim_end(), share.saturating_sub(header.len() + 1)) {
            kept if kept.is_empty() => String::new(),
            kept => kept + "\n",
        };
        if header.len() <= share {
            left = left.saturating_sub(header.len() + text.len());
            whole.push_str(header);
            whole.push_str(&text);
        }
    }
    whole
}

/// The end of a text, from the beginning of a line where there is one, in at most so many bytes.
fn cut(text: &str, most_bytes: usize) -> String {
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    let from = text.ceil_char_boundary(text.len() - most_bytes);
    let (before, tail) = text.split_at(from);
    if before.ends_with('\n') {
        return tail.to_owned();
    }
    match tail.split_once('\n') {
        Some((_, lines)) if !lines.is_empty() => lines.to_owned(),
        _ => tail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_kept_in_whole_lines_and_characters() {
        for (text, most, wanted) in [
            ("one\ntwo\n", 99, "one\ntwo\n"),
            ("one\ntwo\n", 6, "two\n"),
            ("one\ntwo", 3, "two"),
            ("äöü", 3, "ü"),
            ("one", 0, ""),
        ] {
            assert_eq!(cut(text, most), wanted, "{text:?} in {most}");
        }
    }

    #[test]
    fn a_container_that_did_not_end_well_says_how() {
        for (terminated, wanted) in [
            (serde_json::json!({"exitCode": 0, "reason": "Completed"}), ""),
            (
                serde_json::json!({"exitCode": 137, "reason": "OOMKilled"}),
                ", ended with 137 (OOMKilled)",
            ),
            (
                serde_json::json!({"exitCode": 1, "message": "no\ndatabase\n"}),
                ", ended with 1 (Error): no database",
            ),
        ] {
            let status = serde_json::json!({"name": "m", "state": {"terminated": terminated}, "image": "i",
                "imageID": "i", "ready": false, "restartCount": 0});
            let pod = serde_json::json!({"metadata": {}, "status": {"containerStatuses": [status]}});
            let pod: Pod = serde_json::from_value(pod).unwrap_or_default();
            assert_eq!(ended(&pod, "m"), wanted);
        }
    }

    #[test]
    fn containers_share_what_there_is() {
        let log = |name: &str, text: &str| (format!("- {name}\n"), text.to_owned());
        let logs = [log("a", "short\n"), log("b", "one\ntwo\nthree\n")];
        assert_eq!(joined(&logs, 99), "- a\nshort\n- b\none\ntwo\nthree\n");
        assert_eq!(joined(&logs, 24), "- a\nshort\n- b\ntwo\nthree\n");
        for most in 0..40 {
            assert!(joined(&logs, most).len() <= most, "{most}");
        }
        assert_eq!(joined(&logs, 2), "");
    }
}
