//! What the sweep writes itself, where nobody has the environment: recorded before it is written, and after.

use jiff::Timestamp;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, Fence, ServiceName};
use sluice_domain::ledger::Record;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, racing};

/// The fence under which something is written, recorded before it is, so that a rollout which begins meanwhile has a greater
/// one, and the cluster refuses what comes late. `still` says whether it is still to be written, and the fence that is recorded
/// for it already; `begin` records one. None where there is nothing to write any more.
pub(crate) async fn recorded(
    backends: &Backends,
    (service, name): (&ServiceName, &EnvironmentName),
    still: impl Fn(&Environment) -> Option<Option<Fence>>,
    begin: impl Fn(&mut Environment) -> Option<Record>,
    now: Timestamp,
) -> Result<Option<Fence>, Failure> {
    racing(|| async {
        let mut environment = backends.table.environment(service, name).await?;
        let Some(fence) = still(&environment) else {
            return Ok(None);
        };
        if fence.is_some() {
            return Ok(fence);
        }
        let Some(record) = begin(&mut environment) else {
            return Ok(None);
        };
        let fence = environment.fence;
        let mut transaction = Transaction::new();
        transaction.record(&mut environment, record, now);
        transaction.update(&environment);
        transaction.commit(&backends.table).await?;
        Ok(Some(fence))
    })
    .await
}

/// Records that it is written. `end` says whether there is anything to record.
pub(crate) async fn ended(
    backends: &Backends,
    (service, name): (&ServiceName, &EnvironmentName),
    end: impl Fn(&mut Environment) -> bool,
) -> Result<(), Failure> {
    racing(|| async {
        let mut environment = backends.table.environment(service, name).await?;
        if end(&mut environment) {
            let mut transaction = Transaction::new();
            transaction.update(&environment);
            transaction.commit(&backends.table).await?;
        }
        Ok(())
    })
    .await
}
