//! Waiting for a Job by watching.

use crate::error::ClusterError;
use crate::jobs::{JOB_NAME, observed_job};
use crate::namespace::Namespace;
use crate::wait::{Store, resilient, watched};
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use sluice_domain::workload::ObservedJob;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

impl Namespace {
    /// Waits until a Job is complete, has failed or can never start, or is not there, or `limit` has passed: what was seen
    /// of it last; none where it is not there. Connections that break are taken up again within `limit`; an error that
    /// waiting does not heal ends it, and so does one that lasts until the limit before anything was seen.
    pub async fn wait_for_job(
        &self,
        name: &str,
        limit: Duration,
    ) -> Result<Option<ObservedJob>, ClusterError> {
        let mut wait = Wait {
            name,
            last: None,
            trouble: None,
            judged: 0,
        };
        match timeout_at(Instant::now() + limit, wait.run(self)).await {
            Ok(end) => end,
            Err(_) if wait.last.is_some() => Ok(wait.last),
            Err(_) => Err(self.unseen(wait.trouble)),
        }
    }

    fn job_changes(&self, client: &Client, name: &str) -> BoxStream<'static, watcher::Result<Change>> {
        let jobs = Api::<Job>::namespaced(client.clone(), self.name());
        let jobs = watcher(jobs, watched().fields(&format!("metadata.name={name}")));
        let pods = Api::<Pod>::namespaced(client.clone(), self.name());
        let pods = watcher(pods, watched().labels(&format!("{JOB_NAME}={name}")));
        select_all([
            resilient(jobs, |event| Change::Job(Box::new(event))),
            resilient(pods, |event| Change::Pod(Box::new(event))),
        ])
        .boxed()
    }
}

enum Change {
    Job(Box<Event<Job>>),
    Pod(Box<Event<Pod>>),
}

struct Wait<'w> {
    name: &'w str,
    last: Option<ObservedJob>,
    trouble: Option<ClusterError>,
    /// How often something was seen.
    judged: u64,
}

impl Wait<'_> {
    async fn run(&mut self, namespace: &Namespace) -> Result<Option<ObservedJob>, ClusterError> {
        let mut client = namespace.client().await?;
        let mut renewed = false;
        loop {
            let before = self.judged;
            match self.watch(namespace, &client).await {
                // As in `wait`: a token ends while one waits; a new one with which nothing is seen is no help.
                Err(ClusterError::Unauthorized { cluster, message }) if !renewed || self.judged > before => {
                    let again = namespace.renewed_client().await?;
                    client = again.ok_or(ClusterError::Unauthorized { cluster, message })?;
                    renewed = true;
                }
                end => return end,
            }
        }
    }

    async fn watch(
        &mut self,
        namespace: &Namespace,
        client: &Client,
    ) -> Result<Option<ObservedJob>, ClusterError> {
        let (mut jobs, mut pods) = (Store::default(), Store::default());
        let mut changes = namespace.job_changes(client, self.name);
        while let Some(change) = changes.next().await {
            match change {
                Ok(Change::Job(event)) => jobs.take(*event),
                Ok(Change::Pod(event)) => pods.take(*event),
                Err(error) => {
                    self.trouble = Some(namespace.worth_waiting(error)?);
                    continue;
                }
            }
            let (Some(mut jobs), Some(pods)) = (jobs.all(), pods.all()) else {
                continue;
            };
            self.judged += 1;
            let Some(job) = jobs.next() else {
                return Ok(None);
            };
            let seen = self.last.insert(observed_job(self.name, job, pods));
            if seen.is_over() {
                return Ok(Some(seen.clone()));
            }
        }
        Err(namespace.ended())
    }
}
