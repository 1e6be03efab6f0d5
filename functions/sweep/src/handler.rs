//! Finds what was lost: pushes without an event, promotions without an execution, executions that ended without saying
//! so, alarms without an event, watches that are over, pods that were lost in a bake. Everything it does, another function does
//! too; it only makes sure that it is done.

use crate::cooling::cool;
use crate::easing::ease;
use crate::heard::{Heard, heard};
use crate::pods;
use crate::repair::mend;
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_cluster::Clusters;
use sluice_domain::ids::ServiceName;
use sluice_domain::service::Meta;
use sluice_lambda::Failure;
use sluice_rollback_call::RollBack;
use sluice_transitions::{Backends, record_image};
use sluice_watching::Watching;
use std::collections::BTreeSet;

/// How many services are listed at a time.
const PAGE: usize = 100;

/// What a sweep reaches.
pub struct Sweeper {
    /// Table, state machines, images.
    pub backends: Backends,
    /// The function that puts releases back.
    pub roll_back: RollBack,
    /// What alarms do.
    pub watching: Watching,
    /// The clusters, where tracks are cooled.
    pub clusters: Clusters,
}

/// Sweeps one service or all of them. A service that cannot be swept does not keep the others from it; the first
/// failure is raised at the end.
pub async fn handle(sweeper: &Sweeper, event: Value, now: Timestamp) -> Result<Value, Failure> {
    let mut done = Vec::new();
    let mut failed = None;
    let mut services = Services::of(heard(&event));
    while let Some(page) = services.next(&sweeper.backends).await? {
        for service in page {
            match sweep(sweeper, &service, now).await {
                Ok(mut found) => done.append(&mut found),
                Err(failure) => {
                    tracing::error!(%service, %failure, "a service was not swept");
                    failed.get_or_insert(failure);
                }
            }
        }
    }
    if !done.is_empty() {
        tracing::info!(?done, "mended");
    }
    failed.map_or_else(|| Ok(json!({ "mended": done })), Err)
}

/// What is swept, page by page.
enum Services {
    One(ServiceName),
    After(Option<ServiceName>),
    Over,
}

impl Services {
    fn of(heard: Heard) -> Self {
        match heard {
            Heard::Execution(service) => Self::One(service),
            Heard::Schedule => Self::After(None),
        }
    }

    async fn next(&mut self, backends: &Backends) -> Result<Option<Vec<ServiceName>>, Failure> {
        match std::mem::replace(self, Self::Over) {
            Self::One(service) => Ok(Some(vec![service])),
            Self::Over => Ok(None),
            Self::After(last) => {
                let page = backends.table.services(last.as_ref(), PAGE).await?;
                if let Some(next) = page.next {
                    *self = Self::After(Some(next));
                }
                Ok(Some(page.items))
            }
        }
    }
}

async fn sweep(sweeper: &Sweeper, service: &ServiceName, now: Timestamp) -> Result<Vec<String>, Failure> {
    let Sweeper {
        backends,
        roll_back,
        watching,
        clusters,
    } = sweeper;
    let Some(overview) = backends.table.overview(service).await? else {
        return Ok(Vec::new());
    };
    if overview.meta.removed.is_some() {
        return Ok(Vec::new());
    }
    let mut done = lost_pushes(backends, &overview.meta, now).await?;
    // A release that was just recorded has begun something.
    let overview = match done.is_empty() {
        true => Some(overview),
        false => backends.table.overview(service).await?,
    };
    let Some(overview) = overview else { return Ok(done) };
    // What cannot be mended in one environment keeps no alarm from being looked at.
    let mut failed = None;
    for environment in &overview.environments {
        let mended = mend(backends, roll_back, environment, now).await;
        let looked = watching.look_after(environment, now).await;
        let lost = pods::look_after(backends, clusters, environment).await;
        let cooled = cool(backends, clusters, environment, now).await;
        let eased = ease(backends, clusters, environment, now).await;
        let others =
            [looked, lost, cooled, eased].map(|said| said.map(|said| said.into_iter().collect::<Vec<_>>()));
        for found in [mended].into_iter().chain(others) {
            match found {
                Ok(found) => done.extend(found),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
    }
    failed.map_or(Ok(done), Err)
}

/// Images pushed since the service's first `apply` that are no release: their event never came.
async fn lost_pushes(backends: &Backends, meta: &Meta, now: Timestamp) -> Result<Vec<String>, Failure> {
    let known: BTreeSet<_> = backends.table.digests(&meta.service).await?.into_iter().collect();
    let mut pushed = backends
        .registry
        .pushed_since(&meta.repository, meta.first_applied_at)
        .await?;
    pushed.retain(|image| !image.tags.is_empty() && !known.contains(&image.digest));
    // Oldest first, so that numbers follow the pushes.
    pushed.sort_by_key(|image| image.pushed_at);
    let mut found = Vec::new();
    for image in pushed {
        for recorded in record_image(backends, &meta.repository, &image.digest, now).await? {
            if let sluice_transitions::Recorded::New(service, number) = recorded {
                found.push(format!("{service}{number}: its event never came"));
            }
        }
    }
    Ok(found)
}
