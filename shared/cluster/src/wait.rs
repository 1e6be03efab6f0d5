//! Waiting for pods by watching, without asking again and again.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use crate::observe::workloads_api;
use crate::reading::{Snapshot, Surroundings, observation};
use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::utils::{Backoff, StreamBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use sluice_domain::bundle::WorkloadKind;
use sluice_domain::ids::Fence;
use sluice_domain::workload::{Observation, WorkloadRef};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long one watch lasts before it is taken up again where it ended. Short, so that a connection that has died
/// without a word is noticed; shorter than the client's patience with a silent connection.
const ONE_WATCH_SECONDS: u32 = 15;
/// Between tries to reach an API server that does not answer.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(3);

/// How waiting ended.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitEnd {
    /// What was waited for is so.
    Settled(Observation),
    /// It is not, and the time is over.
    TimedOut(Observation),
    /// Another holder has written one of the workloads.
    Preempted {
        /// The fence that it has now.
        seen: Fence,
    },
}

impl Namespace {
    /// Waits until `settled` says so of what is observed of these workloads, or another holder has written one of them
    /// with a fence above ours, or `limit` has passed.
    ///
    /// `settled` is asked first of what is there, then after each change of a workload of these kinds, of what keeps its
    /// templates (ReplicaSet, ControllerRevision) or of a pod. Connections
    /// that break and watches that expire are taken up again within `limit`; an error that waiting does not heal ends
    /// it, and so does one that lasts until the limit before anything was seen.
    ///
    /// It needs no right to anything but these kinds, so what it observes does not say whether a workload is autoscaled,
    /// nor the fences of other objects.
    pub async fn wait_for(
        &self,
        asked: &[WorkloadRef],
        limit: Duration,
        fence: Fence,
        settled: impl Fn(&Observation) -> bool,
    ) -> Result<WaitEnd, ClusterError> {
        let mut wait = Wait {
            asked,
            fence,
            settled,
            last: None,
            trouble: None,
            judged: 0,
        };
        match timeout_at(Instant::now() + limit, wait.run(self)).await {
            Ok(end) => end,
            Err(_) => wait.out_of_time(self),
        }
    }

    fn changes(
        &self,
        client: &Client,
        kinds: &BTreeSet<WorkloadKind>,
    ) -> BoxStream<'static, watcher::Result<Change>> {
        let mut streams = vec![];
        for kind in kinds.iter().copied() {
            let objects = workloads_api(client.clone(), self.name(), kind);
            let change = move |event| Change::Workload(kind, event);
            streams.push(resilient(watcher(objects, watched()), change));
        }
        if kinds.contains(&WorkloadKind::Deployment) {
            let sets = Api::<ReplicaSet>::namespaced(client.clone(), self.name());
            streams.push(resilient(watcher(sets, watched()), Change::ReplicaSet));
        }
        if kinds.contains(&WorkloadKind::DaemonSet) {
            let revisions = Api::<ControllerRevision>::namespaced(client.clone(), self.name());
            streams.push(resilient(watcher(revisions, watched()), Change::Revision));
        }
        let pods = Api::<Pod>::namespaced(client.clone(), self.name());
        streams.push(resilient(watcher(pods, watched()), Change::Pod));
        select_all(streams).boxed()
    }

    /// The watcher goes on after every error; this decides which are worth it: the transient ones, which it answers.
    pub(crate) fn worth_waiting(&self, error: watcher::Error) -> Result<ClusterError, ClusterError> {
        let error = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => self.error("the watch", error),
            watcher::Error::WatchError(status) => self.error("the watch", kube::Error::Api(status)),
            watcher::Error::NoResourceVersion => ClusterError::Invalid {
                object: self.place_of("the watch"),
                message: "the API server answered without a resourceVersion".to_owned(),
            },
        };
        if !error.is_transient() {
            return Err(error);
        }
        tracing::debug!(error = %error, "the watch broke and is taken up again");
        Ok(error)
    }

    /// A watcher does not end by itself.
    pub(crate) fn ended(&self) -> ClusterError {
        ClusterError::Unavailable {
            place: self.place_of("the watch"),
            message: "it ended without being asked to".to_owned(),
        }
    }

    /// The time was over before anything was seen.
    pub(crate) fn unseen(&self, trouble: Option<ClusterError>) -> ClusterError {
        trouble.unwrap_or_else(|| ClusterError::Unavailable {
            place: self.place_of("the watch"),
            message: "nothing was seen before the time was over".to_owned(),
        })
    }
}

pub(crate) fn watched() -> watcher::Config {
    watcher::Config::default().timeout(ONE_WATCH_SECONDS)
}

pub(crate) fn resilient<K: 'static, C: 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    change: impl Fn(Event<K>) -> C + Send + 'static,
) -> BoxStream<'static, watcher::Result<C>> {
    StreamBackoff::new(events.boxed(), Delays::default())
        .map(move |event| event.map(&change))
        .boxed()
}

enum Change {
    Workload(WorkloadKind, Event<DynamicObject>),
    ReplicaSet(Event<ReplicaSet>),
    Revision(Event<ControllerRevision>),
    Pod(Event<Pod>),
}

struct Wait<'w, S> {
    asked: &'w [WorkloadRef],
    fence: Fence,
    settled: S,
    last: Option<Observation>,
    /// How often something was seen.
    judged: u64,
    trouble: Option<ClusterError>,
}

impl<S: Fn(&Observation) -> bool> Wait<'_, S> {
    async fn run(&mut self, namespace: &Namespace) -> Result<WaitEnd, ClusterError> {
        let mut client = namespace.client().await?;
        let mut renewed = false;
        loop {
            let before = self.judged;
            match self.watch(namespace, &client).await {
                // A token ends while one waits. A new one with which nothing is seen is no help.
                Err(ClusterError::Unauthorized { cluster, message }) if !renewed || self.judged > before => {
                    let again = namespace.renewed_client().await?;
                    client = again.ok_or(ClusterError::Unauthorized { cluster, message })?;
                    renewed = true;
                }
                end => return end,
            }
        }
    }

    async fn watch(&mut self, namespace: &Namespace, client: &Client) -> Result<WaitEnd, ClusterError> {
        let kinds: BTreeSet<WorkloadKind> = self.asked.iter().map(|one| one.kind).collect();
        let mut changes = namespace.changes(client, &kinds);
        let mut seen = Seen::of(kinds);
        while let Some(change) = changes.next().await {
            match change {
                Ok(change) => seen.take(change),
                Err(error) => {
                    self.trouble = Some(namespace.worth_waiting(error)?);
                    continue;
                }
            }
            if let Some(end) = seen.snapshot().and_then(|snapshot| self.judge(&snapshot)) {
                return Ok(end);
            }
        }
        Err(namespace.ended())
    }

    fn judge(&mut self, snapshot: &Snapshot<'_>) -> Option<WaitEnd> {
        self.judged += 1;
        let now = observation(self.asked, snapshot, &Surroundings::default());
        if self.last.as_ref() == Some(&now) {
            return None;
        }
        let now = self.last.insert(now);
        let highest = now
            .deployments
            .iter()
            .map(|deployment| deployment.fence)
            .max()
            .unwrap_or_default();
        if highest > self.fence {
            return Some(WaitEnd::Preempted { seen: highest });
        }
        (self.settled)(now).then(|| WaitEnd::Settled(now.clone()))
    }

    fn out_of_time(self, namespace: &Namespace) -> Result<WaitEnd, ClusterError> {
        match self.last {
            Some(last) => Ok(WaitEnd::TimedOut(last)),
            None => Err(namespace.unseen(self.trouble)),
        }
    }
}

/// What the watches have told so far.
struct Seen {
    workloads: BTreeMap<WorkloadKind, Store<DynamicObject>>,
    replica_sets: Store<ReplicaSet>,
    revisions: Store<ControllerRevision>,
    pods: Store<Pod>,
}

impl Seen {
    /// Nothing yet, of these kinds. What is not watched counts as listed.
    fn of(kinds: BTreeSet<WorkloadKind>) -> Self {
        let has = |kind| kinds.contains(&kind);
        Self {
            replica_sets: Store::watched_if(has(WorkloadKind::Deployment)),
            revisions: Store::watched_if(has(WorkloadKind::DaemonSet)),
            pods: Store::default(),
            workloads: kinds.into_iter().map(|kind| (kind, Store::default())).collect(),
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Workload(kind, event) => self.workloads.entry(kind).or_default().take(event),
            Change::ReplicaSet(event) => self.replica_sets.take(event),
            Change::Revision(event) => self.revisions.take(event),
            Change::Pod(event) => self.pods.take(event),
        }
    }

    /// None until each kind has been listed, and while one is listed anew.
    fn snapshot(&self) -> Option<Snapshot<'_>> {
        let all = self.workloads.iter();
        Some(Snapshot {
            workloads: all
                .map(|(kind, store)| Some((*kind, store.all()?.collect())))
                .collect::<Option<_>>()?,
            replica_sets: self.replica_sets.all()?.collect(),
            revisions: self.revisions.all()?.collect(),
            pods: self.pods.all()?.collect(),
        })
    }
}

/// The objects of one kind, by name.
pub(crate) struct Store<K> {
    objects: BTreeMap<String, K>,
    /// Those of a list that is not complete yet.
    coming: Option<BTreeMap<String, K>>,
    is_listed: bool,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            coming: None,
            is_listed: false,
        }
    }
}

impl<K> Store<K> {
    fn watched_if(is_watched: bool) -> Self {
        Self {
            is_listed: !is_watched,
            ..Self::default()
        }
    }
}

impl<K: ResourceExt> Store<K> {
    pub(crate) fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.coming = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                self.coming
                    .get_or_insert_default()
                    .insert(object.name_any(), object);
            }
            Event::InitDone => {
                self.objects = self.coming.take().unwrap_or_default();
                self.is_listed = true;
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
            }
        }
    }

    /// None until all were listed, and while they are listed anew.
    pub(crate) fn all(&self) -> Option<impl Iterator<Item = &K>> {
        (self.is_listed && self.coming.is_none()).then(|| self.objects.values())
    }
}

/// Twice as long after each failure in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Delays {
    failures: u32,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = FIRST_DELAY.saturating_mul(2u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        Some(delay.min(LONGEST_DELAY))
    }
}

impl Backoff for Delays {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
