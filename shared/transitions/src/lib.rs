//! Changes that more than one function makes. Each loads, decides by the domain, records in one transaction, and then
//! does what follows from the record; killed in between, the same call made again, or the sweep, does the rest.

mod backends;
mod completion;
mod ending;
mod images;
mod starting;
mod traffic;
mod turn;
mod wanting;

pub use backends::{Backends, address_of, promotion_of, token_of, warm};
pub use completion::{Completed, complete};
pub use ending::{Ending, end_promotion};
pub use images::{Recorded, load_release, record_image};
pub use starting::{start_promotion, start_rollback, wake, wake_if_due};
pub use traffic::{point_services, write_weights};
pub use turn::{Look, answer, gates_of, load_promotion, look, rollback_budgets, set_reason, verified};
pub use wanting::{Wish, want_promotion};

use sluice_domain::bundle::Bundle;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, Hash, ServiceName};
use sluice_domain::pipeline::{EnvironmentSpec, Pipeline};
use sluice_lambda::{ErrorName, Failure};
use sluice_table::Table;

/// How often a change is decided anew, from what is there then, when an optimistic write lost its race.
const RACES: u32 = 8;

/// Runs a change until it does not lose its race. A lost race means that somebody else's change was recorded: what is
/// there now is loaded again and decided again.
pub async fn racing<T, F, Fut>(mut change: F) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failure>>,
{
    let mut lost = 1;
    loop {
        match change().await {
            Err(failure) if failure.name() == ErrorName::Conflict && lost < RACES => lost += 1,
            other => return other,
        }
    }
}

/// A pipeline version, with its pipeline as the domain has it.
#[derive(Debug, Clone)]
pub struct LoadedVersion {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The name of the packaged manifests.
    pub package: Hash,
}

/// A pipeline version.
pub async fn load_version(
    table: &Table,
    service: &ServiceName,
    version: &Hash,
) -> Result<LoadedVersion, Failure> {
    let stored = table.pipeline(service, version).await?;
    let pipeline = serde_json::from_value(stored.pipeline).map_err(|error| {
        Failure::internal(format!(
            "pipeline version {} of {service} cannot be read: {error}",
            version.short()
        ))
    })?;
    Ok(LoadedVersion {
        pipeline,
        package: stored.package,
    })
}

/// The pipeline of a version.
pub async fn load_pipeline(
    table: &Table,
    service: &ServiceName,
    version: &Hash,
) -> Result<Pipeline, Failure> {
    load_version(table, service, version)
        .await
        .map(|version| version.pipeline)
}

/// The bundle of what is live, where it runs on a track.
pub async fn load_live_on_track(table: &Table, environment: &Environment) -> Result<Option<Bundle>, Failure> {
    match environment.live_on_track() {
        Some(live) => Ok(Some(table.bundle(&live.bundle).await?)),
        None => Ok(None),
    }
}

/// What a version says of an environment.
pub fn spec_of<'a>(
    pipeline: &'a Pipeline,
    environment: &EnvironmentName,
) -> Result<&'a EnvironmentSpec, Failure> {
    pipeline.environment(environment).ok_or_else(|| {
        Failure::refused(format!(
            "the pipeline of {} has no environment {environment}",
            pipeline.service
        ))
    })
}
