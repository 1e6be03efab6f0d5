//! What a promotion on tracks would change.

use crate::handler::Tools;
use crate::plan::{Seen, Told};
use crate::prepare::Site;
use sluice_domain::pipeline::EnvironmentPackage;
use sluice_domain::release::Release;
use sluice_domain::tracks::{self, Ground, Planned, Track, Traffic, brought};
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;

/// The Deployments, and their copies on both tracks.
pub(crate) fn on_both(mut asked: Vec<WorkloadRef>) -> Vec<WorkloadRef> {
    let copies: Vec<WorkloadRef> = asked
        .iter()
        .flat_map(|one| [Track::Blue, Track::Green].map(|track| WorkloadRef::deployment(track.of(&one.name))))
        .collect();
    asked.extend(copies);
    asked
}

/// What would be written on the idle track, tried on what is there.
pub(crate) async fn told(
    tools: &Tools,
    site: &Site<'_>,
    release: &Release,
    package: &EnvironmentPackage,
    seen: Seen<'_>,
) -> Result<Told, Failure> {
    let found = site.environment.tracks.clone().unwrap_or_default();
    let live = match &site.environment.live {
        Some(live) if found.live.is_some() => Some(tools.backends.table.bundle(&live.bundle).await?),
        _ => None,
    };
    let named = seen.namespace.named_service(site.spec.strategy.service()).await?;
    let planned = tracks::planned(&Ground {
        release,
        package,
        spec: site.spec,
        tracks: &found,
        observed: seen.observed,
        config: seen.config,
        live: live.as_ref(),
        named: &named,
    });
    let Planned {
        target,
        route,
        to,
        full,
        left,
    } = planned.map_err(Failure::refused)?;
    let is_there = |name: &str| seen.observed.deployments.iter().any(|one| one.name == name);
    let beside = live.is_none() && target.deployments.iter().any(|one| is_there(&one.name));
    let traffic = Traffic {
        has_other: live.is_some() || beside,
        left,
        ..Traffic::new(route, Some(to), found.live, full)
    };
    let placed =
        brought(&traffic, site.spec, &target).map_err(|fault| Failure::refused(fault.to_string()))?;
    let fence = site.environment.fence.next(seen.observed.highest_fence);
    Ok(Told {
        revision: None,
        changes: seen.namespace.bundle_differences(&placed, fence).await?,
        drift: Vec::new(),
        hooks: Vec::new(),
        adoption: tracks::adoption(&target, &traffic, site.spec),
        steps: tracks::steps(&target, &traffic, site.spec),
        target,
        beside,
    })
}
