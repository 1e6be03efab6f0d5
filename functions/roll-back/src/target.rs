//! Which of the candidates can be brought back: not quarantined, its bundle stored, its image still in ECR.

use sluice_domain::bundle::Bundle;
use sluice_domain::ids::ServiceName;
use sluice_domain::rollback::Target;
use sluice_lambda::Failure;
use sluice_registry::RegistryError;
use sluice_table::TableError;
use sluice_transitions::{Backends, load_pipeline};

/// A target that can be brought back.
pub(crate) struct Chosen {
    /// Which.
    pub target: Target,
    /// Its bundle.
    pub bundle: Bundle,
    /// What could not be looked up, for the ledger.
    pub note: Option<String>,
}

/// The first candidate that can be used; all the reasons where none can.
pub(crate) async fn choose(
    backends: &Backends,
    service: &ServiceName,
    candidates: Vec<Target>,
    named: bool,
) -> Result<Chosen, Failure> {
    let mut reasons = Vec::new();
    for target in candidates {
        match usable(backends, service, &target).await? {
            Ok((bundle, note)) => return Ok(Chosen { target, bundle, note }),
            Err(reason) => reasons.push(reason),
        }
    }
    let all = reasons.join("; ");
    let what = if named {
        "it cannot be brought back"
    } else {
        "there is nothing to bring back"
    };
    Err(Failure::refused(format!(
        "{what}: {all}. Next: sluice history {service}"
    )))
}

type Usable = Result<(Bundle, Option<String>), String>;

async fn usable(backends: &Backends, service: &ServiceName, target: &Target) -> Result<Usable, Failure> {
    let bundle = match backends.table.bundle(&target.bundle).await {
        Ok(bundle) => bundle,
        Err(error @ (TableError::Missing { .. } | TableError::Corrupt { .. })) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(number) = target.release else {
        return Ok(Ok((bundle, None)));
    };
    let Some(release) = backends.table.release(service, number).await? else {
        return Ok(Err(format!("{number} is not in the table")));
    };
    if let Some(quarantine) = &release.quarantine {
        return Ok(Err(format!(
            "{number} is quarantined by {}: {}",
            quarantine.by, quarantine.reason
        )));
    }
    let pipeline = load_pipeline(&backends.table, service, &release.pipeline).await?;
    match backends
        .registry
        .image(&pipeline.source.repository, &release.digest)
        .await
    {
        Ok(Some(_)) => Ok(Ok((bundle, None))),
        Ok(None) => Ok(Err(format!("the image of {number} is gone from ECR"))),
        Err(error @ (RegistryError::ChildMissing { .. } | RegistryError::NotPullable { .. })) => {
            Ok(Err(error.to_string()))
        }
        // A rollback must be possible while ECR is out of reach: the nodes may well have the image.
        Err(error) => Ok(Ok((
            bundle,
            Some(format!("the image was not looked up: {error}")),
        ))),
    }
}
