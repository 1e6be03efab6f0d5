//! Waiting for pods by watching, without asking again and again.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use crate::observe::deployments_api;
use crate::reading::{Snapshot, Surroundings, observation};
use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::utils::{Backoff, StreamBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use sluice_domain::ids::Fence;
use sluice_domain::workload::Observation;
use std::collections::BTreeMap;
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
    /// Another holder has written one of the Deployments.
    Preempted {
        /// The fence that it has now.
        seen: Fence,
    },
}

impl Namespace {
    /// Waits until `settled` says so of what is observed of these Deployments, or another holder has written one of them
    /// with a fence above ours, or `limit` has passed.
    ///
    /// `settled` is asked first of what is there, then after each change of a Deployment, ReplicaSet or pod. Connections
    /// that break and watches that expire are taken up again within `limit`; an error that waiting does not heal ends
    /// it, and so does one that lasts until the limit before anything was seen.
    ///
    /// It needs no right to anything but these three kinds, so what it observes does not say whether a Deployment is
    /// autoscaled, nor the fences of other objects.
    pub async fn wait_for(
        &self,
        names: &[String],
        limit: Duration,
        fence: Fence,
        settled: impl Fn(&Observation) -> bool,
    ) -> Result<WaitEnd, ClusterError> {
        let mut wait = Wait {
            names,
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

    fn changes(&self, client: &Client) -> BoxStream<'static, watcher::Result<Change>> {
        let watched = || watcher::Config::default().timeout(ONE_WATCH_SECONDS);
        let deployments = watcher(deployments_api(client.clone(), self.name()), watched());
        let sets = watcher(
            Api::<ReplicaSet>::namespaced(client.clone(), self.name()),
            watched(),
        );
        let pods = watcher(Api::<Pod>::namespaced(client.clone(), self.name()), watched());
        select_all([
            resilient(deployments, Change::Deployment),
            resilient(sets, Change::ReplicaSet),
            resilient(pods, Change::Pod),
        ])
        .boxed()
    }
}

fn resilient<K: 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    change: impl Fn(Event<K>) -> Change + Send + 'static,
) -> BoxStream<'static, watcher::Result<Change>> {
    StreamBackoff::new(events.boxed(), Delays::default())
        .map(move |event| event.map(&change))
        .boxed()
}

enum Change {
    Deployment(Event<DynamicObject>),
    ReplicaSet(Event<ReplicaSet>),
    Pod(Event<Pod>),
}

struct Wait<'w, S> {
    names: &'w [String],
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
        let mut seen = Seen::default();
        let mut changes = namespace.changes(client);
        while let Some(change) = changes.next().await {
            match change {
                Ok(change) => seen.take(change),
                Err(error) => {
                    self.note(namespace, error)?;
                    continue;
                }
            }
            if let Some(end) = seen.snapshot().and_then(|snapshot| self.judge(&snapshot)) {
                return Ok(end);
            }
        }
        // A watcher does not end by itself.
        Err(ClusterError::Unavailable {
            place: namespace.place_of("the watch"),
            message: "it ended without being asked to".to_owned(),
        })
    }

    /// The watcher goes on after every error; this one decides which are worth it.
    fn note(&mut self, namespace: &Namespace, error: watcher::Error) -> Result<(), ClusterError> {
        let error = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => namespace.error("the watch", error),
            watcher::Error::WatchError(status) => namespace.error("the watch", kube::Error::Api(status)),
            watcher::Error::NoResourceVersion => ClusterError::Invalid {
                object: namespace.place_of("the watch"),
                message: "the API server answered without a resourceVersion".to_owned(),
            },
        };
        if !error.is_transient() {
            return Err(error);
        }
        tracing::debug!(error = %error, "the watch broke and is taken up again");
        self.trouble = Some(error);
        Ok(())
    }

    fn judge(&mut self, snapshot: &Snapshot<'_>) -> Option<WaitEnd> {
        self.judged += 1;
        let now = observation(self.names, snapshot, &Surroundings::default());
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
        match (self.last, self.trouble) {
            (Some(last), _) => Ok(WaitEnd::TimedOut(last)),
            (None, Some(trouble)) => Err(trouble),
            (None, None) => Err(ClusterError::Unavailable {
                place: namespace.place_of("the watch"),
                message: "nothing was seen before the time was over".to_owned(),
            }),
        }
    }
}

/// What the watches have told so far.
#[derive(Default)]
struct Seen {
    deployments: Store<DynamicObject>,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
}

impl Seen {
    fn take(&mut self, change: Change) {
        match change {
            Change::Deployment(event) => self.deployments.take(event),
            Change::ReplicaSet(event) => self.replica_sets.take(event),
            Change::Pod(event) => self.pods.take(event),
        }
    }

    /// None until each kind has been listed, and while one is listed anew.
    fn snapshot(&self) -> Option<Snapshot<'_>> {
        Some(Snapshot {
            deployments: self.deployments.all()?.collect(),
            replica_sets: self.replica_sets.all()?.collect(),
            pods: self.pods.all()?.collect(),
        })
    }
}

/// The objects of one kind, by name.
struct Store<K> {
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

impl<K: ResourceExt> Store<K> {
    fn take(&mut self, event: Event<K>) {
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

    fn all(&self) -> Option<impl Iterator<Item = &K>> {
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
