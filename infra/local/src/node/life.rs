//! One pod's life on the simulated node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use super::behaviour::{Behaviour, End};
use super::references::{self, Needed};
use super::status::{Ended, Record, State, View, phase, status};
use super::variables;

/// Compressed: a kubelet waits 10 s and doubles up to 5 minutes.
const PULL_AGAIN: Duration = Duration::from_secs(2);
const CRASH_WAIT: Duration = Duration::from_secs(1);
const CRASH_WAIT_MOST: Duration = Duration::from_secs(10);
const CONFIG_AGAIN: Duration = Duration::from_secs(1);

/// A pod bound to the node.
#[derive(Clone)]
pub struct Life {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    spec: Arc<PodSpec>,
    views: Arc<watch::Sender<Vec<View>>>,
    terminate_after: Arc<Mutex<Duration>>,
}

impl Life {
    /// A pod as it was first seen.
    pub fn new(shared: Arc<Shared>, pod: Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let init = spec
            .init_containers
            .iter()
            .flatten()
            .map(|container| view(container, true));
        let views = init
            .chain(spec.containers.iter().map(|container| view(container, false)))
            .collect();
        Self {
            shared,
            pod: Arc::new(pod),
            spec: Arc::new(spec),
            views: Arc::new(watch::Sender::new(views)),
            terminate_after: Arc::default(),
        }
    }

    /// From binding to the pod's own end, if it has one.
    pub async fn live(self) {
        let mut seen = self.views.subscribe();
        seen.mark_changed();
        tokio::join!(self.publish(seen), self.play());
    }

    /// After its deletion was asked for: the containers end, then the object goes.
    pub async fn end(self) {
        let grace = self
            .pod
            .metadata
            .deletion_grace_period_seconds
            .or(self.spec.termination_grace_period_seconds);
        let grace = Duration::from_secs(grace.unwrap_or(30).try_into().unwrap_or(0));
        let after = self
            .terminate_after
            .lock()
            .map(|after| *after)
            .unwrap_or_default();
        sleep(after.min(grace)).await;
        let uid = self.pod.uid();
        let now = DeleteParams {
            preconditions: Some(Preconditions {
                uid,
                ..Default::default()
            }),
            ..DeleteParams::default().grace_period(0)
        };
        while let Err(error) = self.api().delete(&self.pod.name_any(), &now).await {
            match error {
                kube::Error::Api(status) if status.code == 404 || status.code == 409 => return,
                error => {
                    tracing::warn!(%error, pod = self.pod.name_any(), "deleting a terminated pod: trying again")
                }
            }
            sleep(CONFIG_AGAIN).await;
        }
    }

    /// Once its pod is gone.
    pub fn forget(&self) {
        let namespace = self.pod.namespace().unwrap_or_default();
        self.shared.logs.forget(&namespace, &self.pod.name_any());
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(
            self.shared.client.clone(),
            &self.pod.namespace().unwrap_or_default(),
        )
    }

    fn restart_policy(&self) -> &str {
        self.spec.restart_policy.as_deref().unwrap_or("Always")
    }

    // -- status ---------------------------------------------------------------------------------------------------
    async fn publish(&self, mut seen: watch::Receiver<Vec<View>>) {
        let mut record = Record {
            ip: self.shared.next_address(),
            node_ip: self.shared.node_ip.clone(),
            start: Timestamp::now(),
            restart_policy: self.restart_policy().into(),
            conditions: BTreeMap::new(),
        };
        while seen.changed().await.is_ok() {
            let views = seen.borrow_and_update().clone();
            self.write(&views, &mut record).await;
            if matches!(phase(&views, &record.restart_policy), "Succeeded" | "Failed") {
                return;
            }
        }
    }

    async fn write(&self, views: &[View], record: &mut Record) {
        let patch =
            json!({"metadata": {"uid": self.pod.uid()}, "status": status(views, record, Timestamp::now())});
        loop {
            let written = self
                .api()
                .patch_status(
                    &self.pod.name_any(),
                    &PatchParams::default(),
                    &Patch::Strategic(&patch),
                )
                .await;
            match written {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
                Err(error) => {
                    tracing::warn!(%error, pod = self.pod.name_any(), "writing a pod's status: trying again")
                }
            }
            sleep(CONFIG_AGAIN).await;
        }
    }

    fn set(&self, index: usize, change: impl FnOnce(&mut View)) {
        self.views.send_modify(|views| {
            if let Some(view) = views.get_mut(index) {
                change(view);
            }
        });
    }

    fn wait_with(&self, index: usize, reason: &'static str, message: String) {
        self.set(index, |view| view.state = State::Waiting(reason, message));
    }

    async fn warn(&self, reason: &str, note: String) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.into(),
            note: Some(note),
            action: reason.into(),
            secondary: None,
        };
        if let Err(error) = self
            .shared
            .events
            .publish(&event, &self.pod.object_ref(&()))
            .await
        {
            tracing::debug!(%error, "an event could not be written");
        }
    }

    // -- containers -----------------------------------------------------------------------------------------------
    async fn play(&self) {
        self.wait_for_volumes().await;
        let init = self.spec.init_containers.as_deref().unwrap_or_default();
        let mut sidecars = Vec::new();
        for (index, container) in init.iter().enumerate() {
            if is_sidecar(container) {
                sidecars.push(self.contain(index, container, false));
            } else if !self.contain(index, container, true).await {
                return;
            }
        }
        let until_completion = self.restart_policy() != "Always";
        let main = self
            .spec
            .containers
            .iter()
            .enumerate()
            .map(|(index, container)| self.contain(init.len() + index, container, until_completion));
        futures::future::join(
            futures::future::join_all(sidecars),
            futures::future::join_all(main),
        )
        .await;
    }

    async fn wait_for_volumes(&self) {
        for (volume, needed) in references::of_volumes(&self.spec) {
            while let Some(missing) = references::missing(&self.shared.client, &self.pod, &needed).await {
                self.warn(
                    "FailedMount",
                    format!("MountVolume.SetUp failed for volume \"{volume}\" : {missing}"),
                )
                .await;
                sleep(CONFIG_AGAIN).await;
            }
        }
    }

    /// One container, with every restart that its pod's policy asks for. True when it ended well for good.
    async fn contain(&self, index: usize, container: &Container, until_completion: bool) -> bool {
        let mut wait = Duration::ZERO;
        loop {
            let (behaviour, log) = self.pull(index, container).await;
            self.wait_for_configuration(index, &references::of_container(container))
                .await;
            let behaviour = if until_completion {
                behaviour.until_completion()
            } else {
                behaviour
            };
            self.print(container, log).await;
            let ended = self.start(index, &behaviour).await;
            let restarts = match self.restart_policy() {
                _ if is_sidecar(container) => true,
                "Always" => !until_completion || ended.code != 0,
                "OnFailure" => ended.code != 0,
                _ => false,
            };
            let code = ended.code;
            self.set(index, |view| view.state = State::Ended(ended.clone()));
            if !restarts {
                return code == 0;
            }
            self.back_off(index, container, ended, &mut wait).await;
        }
    }

    /// The first restart comes at once, the later ones after a growing wait, in CrashLoopBackOff.
    async fn back_off(&self, index: usize, container: &Container, ended: Ended, wait: &mut Duration) {
        sleep(Duration::from_millis(100)).await; // long enough for a watcher to see how it ended
        if !wait.is_zero() {
            let message = format!(
                "back-off {wait:?} restarting failed container={} pod={}_{}",
                container.name,
                self.pod.name_any(),
                self.pod.namespace().unwrap_or_default()
            );
            self.set(index, |view| {
                view.state = State::Waiting("CrashLoopBackOff", message);
                view.last = Some(ended.clone());
            });
            sleep(*wait).await;
        }
        *wait = (*wait * 2).clamp(CRASH_WAIT, CRASH_WAIT_MOST);
        self.set(index, |view| {
            view.last = Some(ended);
            view.restarts += 1;
        });
    }

    /// How the image behaves, and what it prints.
    async fn pull(&self, index: usize, container: &Container) -> (Behaviour, Option<String>) {
        let image = container.image.clone().unwrap_or_default();
        loop {
            match self.shared.registry.pull(&image, first_argument(container)).await {
                Ok(pulled) => {
                    self.set(index, |view| view.image_id = pulled.image_id);
                    match pulled.behaviour {
                        Ok(behaviour) => return (self.remember(behaviour), pulled.log),
                        Err(fault) => self.wait_with(index, "CreateContainerError", fault),
                    }
                }
                Err(message) => {
                    self.wait_with(index, "ErrImagePull", message.clone());
                    self.warn("Failed", format!("Failed to pull image \"{image}\": {message}"))
                        .await;
                    sleep(CONFIG_AGAIN / 2).await;
                    self.wait_with(
                        index,
                        "ImagePullBackOff",
                        format!("Back-off pulling image \"{image}\": ErrImagePull: {message}"),
                    );
                }
            }
            sleep(PULL_AGAIN).await;
        }
    }

    /// What the container prints as it starts; what the one before it printed is gone.
    async fn print(&self, container: &Container, log: Option<String>) {
        let text = match log {
            Some(text) => {
                let variables = variables::of_container(&self.shared.client, &self.pod, container).await;
                variables::replaced(&text, &variables)
            }
            None => {
                let image = container.image.as_deref().unwrap_or_default();
                format!("container {} is simulated: {image} does not run", container.name)
            }
        };
        let namespace = self.pod.namespace().unwrap_or_default();
        let (pod, name) = (self.pod.name_any(), &container.name);
        self.shared
            .logs
            .start(&namespace, &pod, name, format!("{}\n", text.trim_end()));
    }

    fn remember(&self, behaviour: Behaviour) -> Behaviour {
        if let Ok(mut longest) = self.terminate_after.lock() {
            *longest = behaviour.terminate_after.max(*longest);
        }
        behaviour
    }

    async fn wait_for_configuration(&self, index: usize, needed: &[Needed]) {
        for needed in needed {
            while let Some(missing) = references::missing(&self.shared.client, &self.pod, needed).await {
                self.wait_with(index, "CreateContainerConfigError", missing);
                sleep(CONFIG_AGAIN).await;
            }
        }
    }

    /// Runs the container until it ends by itself, which it may never do.
    async fn start(&self, index: usize, behaviour: &Behaviour) -> Ended {
        let started = Timestamp::now();
        self.set(index, |view| view.state = State::Running(started, false));
        let becomes_ready = async {
            if let Some(after) = behaviour.ready_after {
                sleep(after).await;
                self.set(index, |view| view.state = State::Running(started, true));
            }
            std::future::pending::<()>().await;
        };
        let ends = async {
            match &behaviour.end {
                Some(end) => {
                    sleep(end.after).await;
                    end.clone()
                }
                None => std::future::pending::<End>().await,
            }
        };
        let end = tokio::select! { biased; end = ends => end, () = becomes_ready => End { after: Duration::ZERO, code: 0, message: String::new() } };
        Ended {
            code: end.code,
            message: end.message,
            started,
            finished: Timestamp::now(),
        }
    }
}

fn first_argument(container: &Container) -> Option<&str> {
    container.args.as_ref()?.first().map(String::as_str)
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn view(container: &Container, init: bool) -> View {
    let reason = if init {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    View {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        init,
        sidecar: init && is_sidecar(container),
        image_id: String::new(),
        state: State::Waiting(reason, String::new()),
        last: None,
        restarts: 0,
    }
}
