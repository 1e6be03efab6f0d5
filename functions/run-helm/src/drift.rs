//! What others changed since Sluice left a release.

use crate::handler::{Held, Tools};
use crate::place::Place;
use crate::site::Site;
use crate::tracked;
use serde_json::Value;
use sluice_domain::difference::Change;
use sluice_domain::helm::{HelmRevision, documents, is_drift, owned};
use sluice_domain::ledger::{Event, Record};
use sluice_lambda::Failure;

/// Helm's name among the managers of fields (Helm 4, `pkg/kube/client.go`: the program's own name).
pub(crate) const HELM: &str = "helm";

/// What others changed since Sluice left the release: its revision, and the objects of that revision. A release that
/// Sluice never wrote cannot have drifted: it is adopted as it is.
pub(crate) async fn drift(
    tools: &Tools,
    place: &Place<'_>,
    site: &Site<'_>,
    present: Option<&HelmRevision>,
) -> Result<Vec<String>, Failure> {
    let Some(live) = &site.environment.live else {
        return Ok(Vec::new());
    };
    let live = tools.backends.table.bundle(&live.bundle).await?;
    let Some(live) = &live.helm else {
        return Ok(Vec::new());
    };
    let on_tracks = site.idle().is_some();
    let found = if on_tracks {
        // What is to come is compared with nothing: it is what has the traffic that others may have changed.
        let own = site
            .environment
            .live_track()
            .and_then(|track| live.tracks.get(&track));
        let name = own.map_or(&live.release, |own| &own.release);
        sluice_domain::helm::present(&place.revisions(name).await?).cloned()
    } else {
        present.cloned()
    };
    let present = found.as_ref();
    let mut drift: Vec<String> = is_drift(Some(live), present).into_iter().collect();
    let Some(present) = present else { return Ok(drift) };
    let objects = documents(&present.manifest).map_err(|fault| Failure::refused(fault.to_string()))?;
    let objects: Vec<Value> = objects
        .iter()
        .map(|object| owned(object, &present.name, &site.spec.namespace))
        .collect();
    let mut differences = place.namespace.differences(&objects, &[], HELM).await?;
    if on_tracks {
        differences.iter_mut().for_each(tracked::without_sizes);
        differences.retain(|one| one.change != Change::Change || !one.fields.is_empty());
    }
    drift.extend(
        differences
            .iter()
            .filter(|one| one.is_of_substance())
            .map(ToString::to_string),
    );
    Ok(drift)
}

/// A rollout that stops because of it.
pub(crate) fn stopped(held: &Held, drift: &[String]) -> Failure {
    let (service, environment) = (&held.environment.service, &held.environment.name);
    Failure::refused(format!(
        "others changed what Sluice left: {}. See `sluice plan {service} {environment}`; put it back, or let the rollout write \
         over it with on_drift = \"overwrite\"",
        drift.join("; ")
    ))
}

/// For the ledger: it is written over.
pub(crate) fn overwritten(held: &Held, drift: &[String]) -> Record {
    Record {
        event: Event::DriftOverwritten,
        by: "sluice".into(),
        release: held.rollout.release,
        digest: None,
        execution: Some(held.rollout.owner.clone()),
        fence: None,
        reason: Some(drift.join("; ").chars().take(2_000).collect()),
    }
}
