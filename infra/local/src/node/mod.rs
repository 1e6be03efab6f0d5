//! A SIMULATION of a node: it does to pods what a kubelet would, without running anything.
//!
//! The scheduler binds pods to it, the API server and the controllers are real, and what a pod does follows from the
//! image that the local registry really holds: see [`behaviour`] for the labels, README.md for what is compressed.

mod behaviour;
pub mod image;
mod life;
pub mod load;
mod logs;
mod references;
mod status;
mod variables;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use image::Registry;
use logs::Logs;

/// The node's name in its cluster.
pub const NAME: &str = "simulated-node";

const MANAGER: &str = "simulated-kubelet";
/// A kubelet's own rate; without it the cluster gives the node up after 40 s.
const LEASE_EVERY: Duration = Duration::from_secs(10);

/// What the lives of all pods of one node share.
struct Shared {
    client: Client,
    registry: Registry,
    events: Recorder,
    addresses: AtomicU16,
    node_ip: String,
    logs: Logs,
    /// Where the API server asks for them, on loopback.
    logs_port: u16,
}

impl Shared {
    /// The next address of the node's range. Not loopback: EndpointSlices refuse that.
    fn next_address(&self) -> String {
        let n = self.addresses.fetch_add(1, Ordering::Relaxed);
        format!("10.244.{}.{}", (n / 250) % 250, n % 250 + 2)
    }
}

/// Registers the node and works until dropped. `registry` is the endpoint of the local AWS, `index` tells clusters'
/// addresses apart.
pub async fn run(client: Client, registry: &str, index: u8) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let shared = Arc::new(Shared {
        logs: Logs::default(),
        logs_port: listener.local_addr()?.port(),
        registry: Registry::new(registry)?,
        events: Recorder::new(
            client.clone(),
            Reporter {
                controller: MANAGER.into(),
                instance: Some(NAME.into()),
            },
        ),
        addresses: AtomicU16::new(u16::from(index) * 12_500),
        node_ip: format!("10.0.{index}.1"),
        client,
    });
    register(&shared)
        .await
        .context("registering the simulated node")?;
    let watching = watch_pods(shared.clone());
    tokio::select! {
        ended = renew_lease(&shared.client) => ended,
        ended = watching => ended,
        ended = logs::serve(shared.logs.clone(), listener) => ended,
    }
}

async fn register(shared: &Shared) -> Result<()> {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NAME, "labels": {
            "kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": "us-east-1a"}}});
    nodes
        .patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(node))
        .await?;
    renew(&shared.client).await?;
    let room = json!({"cpu": "1000", "memory": "4000Gi", "ephemeral-storage": "4000Gi", "pods": "5000"});
    let now = Timestamp::now().to_string();
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": "simulated",
               "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    let status = json!({"apiVersion": "v1", "kind": "Node", "status": {
        "capacity": room, "allocatable": room,
        "addresses": [{"type": "InternalIP", "address": shared.node_ip}, {"type": "Hostname", "address": "127.0.0.1"}],
        // By default an API server dials a node by its `Hostname` (kube-apiserver, --kubelet-preferred-address-types).
        "daemonEndpoints": {"kubeletEndpoint": {"Port": shared.logs_port}},
        "conditions": [
            condition("Ready", "True", "KubeletReady"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID")],
        "nodeInfo": {"kubeletVersion": "v1.36.1-simulated", "kubeProxyVersion": "", "operatingSystem": "linux",
                     "architecture": "amd64", "containerRuntimeVersion": "simulated://1", "osImage": "simulated",
                     "kernelVersion": "", "bootID": "", "machineID": "", "systemUUID": ""}}});
    nodes
        .patch_status(NAME, &PatchParams::default(), &Patch::Strategic(status))
        .await?;
    Ok(())
}

async fn renew_lease(client: &Client) -> Result<()> {
    let mut every = tokio::time::interval(LEASE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(error) = renew(client).await {
            tracing::warn!(%error, "the simulated node's lease could not be renewed");
        }
    }
}

async fn renew(client: &Client) -> Result<()> {
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(client.clone(), "kube-node-lease");
    let now = Timestamp::now();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME},
        "spec": {"holderIdentity": NAME, "leaseDurationSeconds": 40, "renewTime": format!("{now:.6}")}});
    leases
        .patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(lease))
        .await?;
    Ok(())
}

/// The pods bound to the node, each with the task that plays it.
#[derive(Default)]
struct Pods {
    playing: HashMap<String, Playing>,
    listed: Option<HashSet<String>>,
}

struct Playing {
    life: life::Life,
    task: JoinHandle<()>,
    ending: bool,
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.task.abort();
        self.life.forget();
    }
}

async fn watch_pods(shared: Arc<Shared>) -> Result<()> {
    let pods: Api<Pod> = Api::all(shared.client.clone());
    let bound = watcher::Config::default().fields(&format!("spec.nodeName={NAME}"));
    let mut events = watcher(pods, bound).default_backoff().boxed();
    let mut known = Pods::default();
    loop {
        match events.try_next().await {
            Ok(Some(event)) => known.hear(&shared, event),
            Ok(None) => anyhow::bail!("the watch over pods ended"),
            Err(error) => tracing::warn!(%error, "watching pods: trying again"),
        }
    }
}

impl Pods {
    fn hear(&mut self, shared: &Arc<Shared>, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listed = Some(HashSet::new()),
            watcher::Event::InitApply(pod) => {
                if let (Some(listed), Some(uid)) = (&mut self.listed, pod.uid()) {
                    listed.insert(uid);
                }
                self.seen(shared, pod);
            }
            watcher::Event::InitDone => {
                if let Some(listed) = self.listed.take() {
                    self.playing.retain(|uid, _| listed.contains(uid));
                }
            }
            watcher::Event::Apply(pod) => self.seen(shared, pod),
            watcher::Event::Delete(pod) => {
                self.playing.remove(&pod.uid().unwrap_or_default());
            }
        }
    }

    fn seen(&mut self, shared: &Arc<Shared>, pod: Pod) {
        let Some(uid) = pod.uid() else { return };
        let deleted = pod.metadata.deletion_timestamp.is_some();
        let finished = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            .is_some_and(|phase| phase == "Succeeded" || phase == "Failed");
        let playing = self.playing.entry(uid).or_insert_with(|| {
            let life = life::Life::new(shared.clone(), pod);
            let task = if finished {
                tokio::spawn(async {})
            } else {
                tokio::spawn(life.clone().live())
            };
            Playing {
                life,
                task,
                ending: false,
            }
        });
        if deleted && !playing.ending {
            playing.ending = true;
            playing.task.abort();
            playing.task = tokio::spawn(playing.life.clone().end());
        }
    }
}
