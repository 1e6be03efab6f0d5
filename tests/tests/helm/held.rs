//! Helm at work, caught in the middle: its process, what the cluster holds of it, and what the cluster refused it.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::Value;
use sluice_local::faults::Held;
use sluice_tests::World;
use sluice_tests::seen::PATIENCE;
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::wait::until;
use std::time::Duration;

const EVENTS: [&str; 9] = [
    "pre-install",
    "post-install",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "pre-delete",
    "post-delete",
    "test",
];

/// The chart `hooks` with no hook but these; each of them waits for the ConfigMap `gate`.
pub fn hooked(message: &str, waiting: &[&str]) -> Options {
    let hooks: Vec<String> = EVENTS
        .iter()
        .map(|event| {
            let hook = if waiting.contains(event) {
                "{waitsFor: gate}"
            } else {
                "null"
            };
            format!("{event}: {hook}")
        })
        .collect();
    let values = format!("message: {message}\nhooks: {{{}}}\n", hooks.join(", "));
    Options {
        timeout: "180s".to_owned(),
        helm: Some(Chart::own("hooks", &values)),
        ..Options::default()
    }
}

/// A revision as its Secret's labels tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub number: u32,
    pub status: String,
    /// Changes with each write.
    pub version: String,
}

/// What the cluster holds of a service's release, oldest first.
pub async fn revisions(service: &Delivered) -> Result<Vec<Revision>> {
    let (client, namespace) = service.admin("dev").await?;
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let of = format!("owner=helm,name={}", service.name);
    let mut found = Vec::new();
    for secret in secrets.list(&ListParams::default().labels(&of)).await? {
        let labels = secret.metadata.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().context("a label of helm's");
        found.push(Revision {
            number: label("version")?.parse()?,
            status: label("status")?,
            version: secret.metadata.resource_version.unwrap_or_default(),
        });
    }
    found.sort_by_key(|revision| revision.number);
    Ok(found)
}

/// The newest revision's number and status, as helm left them at this moment.
pub async fn newest(service: &Delivered) -> Result<(u32, String)> {
    let found = revisions(service).await?.pop();
    Ok(found.map_or((0, "none".to_owned()), |found| (found.number, found.status)))
}

/// Asserts that one revision is deployed and that no helm is, or seems to be, at work.
pub async fn assert_settled(service: &Delivered) -> Result<()> {
    let found = revisions(service).await?;
    let deployed = found
        .iter()
        .filter(|revision| revision.status == "deployed")
        .count();
    let pending = found
        .iter()
        .any(|revision| revision.status.starts_with("pending") || revision.status == "uninstalling");
    ensure!(deployed == 1 && !pending, "{found:?}");
    Ok(())
}

/// Waits until a hook's Job has a pod that waits for its ConfigMap; the Job's UID.
pub async fn until_hook(service: &Delivered, event: &str) -> Result<String> {
    until_hook_after(service, event, "").await
}

/// The same, of another Job than this one: that of a helm that came later.
pub async fn until_hook_after(service: &Delivered, event: &str, earlier: &str) -> Result<String> {
    let (client, namespace) = service.admin("dev").await?;
    let jobs: Api<Job> = Api::namespaced(client, &namespace);
    let name = format!("{}-{event}", service.name);
    until(&format!("the hook {name}"), PATIENCE, || async {
        let found = jobs.get_opt(&name).await?;
        let active = found
            .as_ref()
            .and_then(|job| job.status.as_ref()?.active)
            .unwrap_or(0);
        let uid = found.as_ref().and_then(|job| job.metadata.uid.clone());
        let uid = uid.filter(|uid| active == 1 && uid != earlier);
        Ok(uid.ok_or_else(|| format!("{:?}", found.map(|job| job.status))))
    })
    .await
}

/// Lets every hook that waits go on.
pub async fn open_gate(service: &Delivered) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let mut gate = ConfigMap::default();
    gate.metadata.name = Some("gate".to_owned());
    maps.create(&PostParams::default(), &gate).await?;
    Ok(())
}

/// The processes of a run of helm that is under way.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    /// The function's.
    pub function: i32,
    /// Helm's.
    pub helm: i32,
}

/// Waits for the helm that works for a service.
pub async fn processes(world: &World, service: &Delivered) -> Result<Processes> {
    let name = format!("\"{}\"", service.name);
    until(&format!("helm at work for {name}"), PATIENCE, || async {
        let running = world.local.in_flight()?;
        let mine = running
            .iter()
            .filter(|one| one.function.ends_with("run-helm") && one.event.to_string().contains(&name));
        let found = mine.filter_map(|one| one.pid).find_map(|function| {
            let helm = child(function)?;
            Some(Processes { function, helm })
        });
        Ok(found.ok_or_else(|| format!("{running:?}")))
    })
    .await
}

fn child(parent: i32) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let children = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<i32> = children
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect();
    children.into_iter().find(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "helm")
    })
}

/// Sends a signal by its number.
pub async fn signal(pid: i32, signal: &str) -> Result<()> {
    let status = tokio::process::Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status()
        .await?;
    ensure!(status.success(), "{pid} was not there any more");
    Ok(())
}

/// Whether a process has ended, with all its threads.
pub fn is_gone(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z ") && threads <= 1,
        Err(_) => true,
    }
}

/// Waits until a process has ended.
pub async fn until_gone(pid: i32, limit: Duration) -> Result<()> {
    until(&format!("the end of process {pid}"), limit, || async {
        Ok(if is_gone(pid) {
            Ok(())
        } else {
            Err("it runs".to_owned())
        })
    })
    .await
}

/// Waits until a call that has this in its path or body's owner is held, after it took effect or before.
pub async fn until_held(world: &World, part: &str) -> Result<Held> {
    until(&format!("a held call of {part}"), PATIENCE, || async {
        let held = world.local.faults().held().await?;
        let mine = held.iter().find(|held| held.call.path.contains(part)).cloned();
        Ok(mine.ok_or_else(|| format!("{held:?}")))
    })
    .await
}

/// How many calls to a service's namespace, of nobody who is a function, were refused: those of helm.
pub fn refused(world: &World, service: &Delivered) -> Result<usize> {
    let part = format!("/namespaces/{}/", service.place("dev")?.namespace);
    let text = std::fs::read_to_string(&world.local.calls_log)?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines
        .filter(|call| {
            let is = |key: &str, wanted: &str| {
                call.get(key)
                    .and_then(Value::as_str)
                    .is_some_and(|at| at.contains(wanted))
            };
            is("path", &part)
                && call.get("status").and_then(Value::as_u64) == Some(403)
                && call.get("function").is_none_or(Value::is_null)
        })
        .count())
}
