//! Tracks that are no longer kept warm give their pods back.

use jiff::Timestamp;
use sluice_cluster::{ClusterError, Clusters};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, Fence, ServiceName};
use sluice_domain::ledger::Record;
use sluice_domain::tracks::cooling::{self, Cooling};
use sluice_domain::tracks::{Track, cold};
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, address_of, load_pipeline, racing, spec_of};

/// Cools what is to be cooled; says what it did. The fence is recorded before anything is written, so that a rollout which
/// begins meanwhile has a greater one, and the cluster refuses what comes late.
pub async fn cool(
    backends: &Backends,
    clusters: &Clusters,
    environment: &Environment,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let Some(found) = cooling::to_cool(environment) else {
        return Ok(None);
    };
    let Some(pipeline) = environment
        .rollout
        .as_ref()
        .map(|rollout| rollout.pipeline.clone())
    else {
        return Ok(None);
    };
    let (service, name) = (&environment.service, &environment.name);
    let pipeline = load_pipeline(&backends.table, service, &pipeline).await?;
    let namespace = clusters.connect(&address_of(spec_of(&pipeline, name)?)).await?;
    let bundle = backends.table.bundle(&found.bundle).await?;
    let cold = cold(&bundle, found.place).map_err(|fault| Failure::internal(fault.to_string()))?;
    let observed = namespace.observe(&WorkloadRef::all_of(&cold)).await?;
    let begin = |environment: &mut Environment| {
        let again = cooling::to_cool(environment).filter(|again| is_same(again, &found))?;
        match again.fence {
            Some(fence) => Some((fence, None)),
            None => {
                let record = cooling::begin(environment, &found, observed.highest_fence)?;
                Some((environment.fence, Some(record)))
            }
        }
    };
    let Some(fence) = recorded(backends, service, name, begin, now).await? else {
        return Ok(None);
    };
    match namespace.apply(&cold, fence).await {
        Ok(_) => {}
        // A rollout has the place by now: what it wrote stays.
        Err(ClusterError::Preempted { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    racing(|| async {
        let mut environment = backends.table.environment(service, name).await?;
        if cooling::end(&mut environment, &found, now) {
            let mut transaction = Transaction::new();
            transaction.update(&environment);
            transaction.commit(&backends.table).await?;
        }
        Ok(())
    })
    .await?;
    let place = found
        .place
        .map_or("what was there before there were tracks", Track::as_str);
    Ok(Some(format!("{place} in {name} has given its pods back")))
}

/// The fence under which something is written, recorded before it is. None where there is nothing to write any more.
pub(crate) async fn recorded(
    backends: &Backends,
    service: &ServiceName,
    name: &EnvironmentName,
    begin: impl Fn(&mut Environment) -> Option<(Fence, Option<Record>)>,
    now: Timestamp,
) -> Result<Option<Fence>, Failure> {
    racing(|| async {
        let mut environment = backends.table.environment(service, name).await?;
        let Some((fence, record)) = begin(&mut environment) else {
            return Ok(None);
        };
        if let Some(record) = record {
            let mut transaction = Transaction::new();
            transaction.record(&mut environment, record, now);
            transaction.update(&environment);
            transaction.commit(&backends.table).await?;
        }
        Ok(Some(fence))
    })
    .await
}

fn is_same(one: &Cooling, other: &Cooling) -> bool {
    (one.place, &one.bundle) == (other.place, &other.bundle)
}
