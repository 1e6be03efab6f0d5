//! What a request would have met, at every revision of a cluster's history.
//!
//! No traffic flows here, so nothing can be sampled; but etcd numbers every change of every object, and what a request
//! would meet follows from routers, endpoints and pods alone. So assertions hold over the whole history and not over
//! what a look every so often happens to see.
//!
//! ```no_run
//! # async fn example(here: &sluice_local::Environment) -> anyhow::Result<()> {
//! use sluice_tests::traffic::{self, RouterKind};
//! let history = traffic::history(here, "mc-staging-eks", "t-canary").await?;
//! let route = history.of(RouterKind::HttpRoute, "api")?;
//! route.assert_no_dead_weight(|percent| if percent > 50.0 { 2 } else { 1 })?;
//! route.assert_weights_within("api-green", &[0.0, 5.0, 25.0, 50.0, 100.0])?;
//! route.assert_only(&["sha256:old", "sha256:new"])?;
//! # Ok(()) }
//! ```
//!
//! [`history`] reads and rebuilds; [`rebuild`] is the pure part.

mod assertions;
mod meet;
mod state;

pub use assertions::Course;
pub use meet::{Router, RouterKind, Share};

use anyhow::{Context, Result};
use sluice_local::Environment;
use sluice_local::etcd::{Change, Etcd};
use state::State;
use std::collections::BTreeMap;

/// What happened in one namespace.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In order; a moment lasts until the next one.
    pub moments: Vec<Moment>,
}

/// A namespace as it was from a revision on.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The change that made it so.
    pub revision: u64,
    /// What changed: `Service api by kubectl`, where the writer is the last that the object names.
    pub changed: Vec<String>,
    /// Every router that there was, by kind and name.
    pub routers: Vec<Router>,
    /// The replicas that each Deployment's spec asked for.
    pub replicas: BTreeMap<String, i64>,
}

/// The history of a namespace since it was made.
pub async fn history(here: &Environment, cluster: &str, namespace: &str) -> Result<History> {
    let etcd = Etcd::of(here, here.cluster(cluster)?);
    let made = etcd.created(&format!("namespaces/{namespace}")).await?;
    let from = made.with_context(|| format!("{cluster} has no namespace {namespace}"))?;
    Ok(rebuild(namespace, &etcd.changes(from).await?))
}

/// A mark in a cluster's history, to tell one part of a test from another: see [`History::between`].
pub async fn now(here: &Environment, cluster: &str) -> Result<u64> {
    Etcd::of(here, here.cluster(cluster)?).revision().await
}

/// The history that these changes, in order and from the namespace's beginning, make.
pub fn rebuild(namespace: &str, changes: &[Change]) -> History {
    let (mut state, mut moments) = (State::new(namespace), Vec::<Moment>::new());
    for change in changes {
        let Some(what) = state.apply(change) else {
            continue;
        };
        match moments.last_mut() {
            // One transaction is one moment: nobody sees half of it.
            Some(last) if last.revision == change.revision => {
                last.changed.push(what);
                last.routers = meet::routers(&state);
                last.replicas = state.replicas();
            }
            _ => moments.push(Moment {
                revision: change.revision,
                changed: vec![what],
                routers: meet::routers(&state),
                replicas: state.replicas(),
            }),
        }
    }
    History { moments }
}

impl History {
    /// The part of it that was present at some time after revision `from` and not after `to`: the moment of `from` itself
    /// lasts into it.
    pub fn between(&self, from: u64, to: u64) -> Self {
        let start = self.moments.partition_point(|moment| moment.revision <= from);
        let moments = self.moments.iter().skip(start.saturating_sub(1));
        Self {
            moments: moments
                .take_while(|moment| moment.revision <= to)
                .cloned()
                .collect(),
        }
    }

    /// The course of one router; an error when there never was one.
    pub fn of(&self, kind: RouterKind, name: &str) -> Result<Course<'_>> {
        Course::of(self, kind, name)
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
