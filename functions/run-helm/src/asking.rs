//! What helm is asked, and what it answers. Nothing is written.

use crate::complaint::complaint;
use crate::handler::Tools;
use crate::place::Place;
use crate::process;
use crate::site::Site;
use serde::Deserialize;
use serde_json::Value;
use sluice_domain::bundle::{Bundle, ChartRef, HelmBundle};
use sluice_domain::helm::{documents, workloads};
use sluice_domain::release::Release;
use sluice_lambda::Failure;
use sluice_secrets::Secrets;
use std::future::pending;
use std::time::Duration;

/// What helm is asked with.
pub(crate) struct Asking<'a> {
    /// What this function works with.
    pub tools: &'a Tools,
    /// The namespace, as helm sees it.
    pub place: &'a Place<'a>,
    /// Where helm would work.
    pub site: &'a Site<'a>,
    /// What is promoted.
    pub release: &'a Release,
    /// The secrets that helm is given.
    pub secrets: &'a Secrets,
    /// How long one run of helm may take.
    pub at_most: Duration,
}

/// What helm answered.
pub(crate) struct Answered {
    /// The release as it would run.
    pub target: Bundle,
    /// The objects that would be there.
    pub objects: Vec<Value>,
    /// The hooks that would run.
    pub hooks: Vec<RenderedHook>,
    /// On tracks: what was there before them and has the traffic.
    pub original: Option<Bundle>,
}

impl Asking<'_> {
    /// What helm would do in place.
    pub(crate) async fn in_place(&self, mut bundle: HelmBundle) -> Result<Answered, Failure> {
        let release = self.release;
        let rendered = self.render(&bundle).await?;
        bundle.chart = rendered.chart_of(bundle.chart);
        let objects = self.objects(&rendered)?;
        let deployments = workloads(&objects, Some(&release.image()));
        Ok(Answered {
            hooks: rendered.hooks,
            target: Bundle {
                release: Some(release.number),
                digest: Some(release.digest.clone()),
                children: release.children.clone(),
                deployments: deployments.map_err(|fault| Failure::refused(fault.to_string()))?,
                objects: Vec::new(),
                config_maps: Vec::new(),
                helm: Some(bundle),
            },
            objects,
            original: None,
        })
    }

    /// What helm would do with a bundle.
    pub(crate) async fn render(&self, bundle: &HelmBundle) -> Result<Rendered, Failure> {
        let archive = bundle
            .chart
            .archive
            .as_ref()
            .ok_or_else(|| Failure::internal("there is no chart to render"))?;
        let archive = self.tools.backends.table.blob(archive).await?;
        let files = self.place.files().await?;
        let mut arguments: Vec<String> = ["upgrade", "--install", &bundle.release]
            .map(str::to_owned)
            .into();
        arguments.extend(files.chart(&archive, bundle, &self.secrets.values).await?);
        let namespace = self.site.spec.namespace.as_str();
        arguments
            .extend(["--namespace", namespace, "--dry-run=server", "--output", "json"].map(str::to_owned));
        let program = &self.tools.program;
        let ended = process::run(program, files.home(), &arguments, self.at_most, pending()).await?;
        if !ended.success {
            return Err(complaint(
                "helm cannot render the chart",
                &self.secrets.struck(&ended.complaints),
            ));
        }
        serde_json::from_slice(&ended.output)
            .map_err(|error| Failure::internal(format!("what helm rendered cannot be read: {error}")))
    }

    /// The objects that it rendered; refused where the release's image is in none of them.
    pub(crate) fn objects(&self, rendered: &Rendered) -> Result<Vec<Value>, Failure> {
        let refused = |fault: sluice_domain::helm::ManifestFault| Failure::refused(fault.to_string());
        let objects = documents(&rendered.manifest).map_err(refused)?;
        workloads(&objects, Some(&self.release.image())).map_err(refused)?;
        Ok(objects)
    }
}

/// The part of helm's JSON that is looked at.
#[derive(Deserialize)]
pub(crate) struct Rendered {
    #[serde(default)]
    manifest: String,
    chart: RenderedChart,
    #[serde(default)]
    pub(crate) hooks: Vec<RenderedHook>,
}

impl Rendered {
    /// The chart as it says of itself.
    pub(crate) fn chart_of(&self, chart: ChartRef) -> ChartRef {
        ChartRef {
            name: self.chart.metadata.name.clone(),
            version: self.chart.metadata.version.clone(),
            ..chart
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct RenderedHook {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) events: Vec<String>,
}

#[derive(Deserialize)]
struct RenderedChart {
    metadata: RenderedMetadata,
}

#[derive(Deserialize)]
struct RenderedMetadata {
    name: String,
    version: String,
}
