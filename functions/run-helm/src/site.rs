//! Where helm works: an environment, by a pipeline version.

use crate::handler::Held;
use sluice_domain::environment::Environment;
use sluice_domain::ids::Fence;
use sluice_domain::pipeline::{EnvironmentSpec, HelmWorkload, Package, Pipeline, Workload};
use sluice_domain::tracks::{Track, Tracks};
use sluice_lambda::Failure;

/// Where helm would work, and by what pipeline version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The environment's row.
    pub environment: &'a Environment,
    /// The pipeline version.
    pub pipeline: &'a Pipeline,
    /// What it says of the environment.
    pub spec: &'a EnvironmentSpec,
    /// What was packaged with it.
    pub package: &'a Package,
}

impl Held {
    /// Where helm works.
    pub(crate) fn site(&self) -> Site<'_> {
        Site {
            environment: &self.environment,
            pipeline: &self.pipeline,
            spec: &self.spec,
            package: &self.package,
        }
    }
}

impl Site<'_> {
    /// The track that a release comes to; none where it comes in place.
    pub(crate) fn idle(&self) -> Option<Track> {
        let tracks = self.environment.tracks.as_ref();
        let comes = self.environment.comes_to_a_track(self.spec);
        comes.then(|| tracks.map_or(Track::Blue, Tracks::idle))
    }

    /// The name of the Helm release that is written: on tracks, that of the idle one.
    pub(crate) fn helm_release(&self) -> String {
        let name = self.release_name();
        match self.idle() {
            Some(track) => track.of(&name),
            None => name,
        }
    }

    /// The name of the Helm release, without a track.
    pub(crate) fn release_name(&self) -> String {
        let said = match &self.pipeline.workload {
            Workload::Helm(helm) => helm.release.clone(),
            Workload::Deployment(_) => None,
        };
        said.unwrap_or_else(|| self.pipeline.service.to_string())
    }

    /// What the pipeline says of the chart.
    pub(crate) fn workload(&self) -> Result<&HelmWorkload, Failure> {
        match &self.pipeline.workload {
            Workload::Helm(helm) => Ok(helm),
            Workload::Deployment(_) => Err(Failure::internal(
                "helm was asked about a workload that is not its own",
            )),
        }
    }

    /// A fence above all that were given out here.
    pub(crate) fn above(&self) -> Fence {
        self.environment.fence.next(self.environment.fence)
    }
}
