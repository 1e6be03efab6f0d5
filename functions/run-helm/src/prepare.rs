//! Before the first write: what is there, what is to be, and whether others changed it.

use crate::archive::archive;
use crate::complaint::complaint;
use crate::handler::{Held, Tools, rollout_of};
use crate::place::{LOOKING, Place};
use crate::process;
use crate::tracked;
use crate::turn::Turn;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sluice_domain::bundle::{Baseline, Bundle, ChartRef, HelmBundle};
use sluice_domain::difference::Change;
use sluice_domain::environment::Environment;
use sluice_domain::helm::{HelmRevision, documents, is_drift, others, own_values, owned, present, workloads};
use sluice_domain::ids::{ExecutionName, Fence, Hash};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::{EnvironmentSpec, HelmWorkload, OnDrift, Package, Pipeline, Workload};
use sluice_domain::release::Release;
use sluice_domain::rollout::prepared;
use sluice_domain::tracks::{Track, Tracks};
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::Failure;
use sluice_secrets::Secrets;
use sluice_table::Transaction;
use sluice_transitions::load_release;
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

/// What helm would do, and from what.
#[derive(Debug)]
pub(crate) struct Prepared<'t> {
    /// The namespace, as helm sees it.
    pub place: Place<'t>,
    /// The secrets that it would be given.
    pub secrets: Secrets,
    /// The hooks that would run, and when.
    pub hooks: Vec<(String, Vec<String>)>,
    /// The release as it would run.
    pub target: Bundle,
    /// The objects that would be there, as helm would write them. They hold Secrets: never stored, never said.
    pub objects: Vec<Value>,
    /// The revision that runs now.
    pub present: Option<HelmRevision>,
    /// How the release or its objects were changed by others.
    pub drift: Vec<String>,
    /// On tracks: what was there before them and has the traffic.
    pub original: Option<Bundle>,
}

/// Stores what is there and what is to be, on the rollout that is starting.
pub(crate) async fn prepare(
    tools: &Tools,
    held: Held,
    execution: &ExecutionName,
    now: Timestamp,
    at_most: Duration,
) -> Result<Next, Failure> {
    let number = held
        .rollout
        .release
        .ok_or_else(|| Failure::internal("a promotion without a release"))?;
    let release = load_release(&tools.backends, &held.environment.service, number).await?;
    let place = Place::connect(tools, &held.spec, LOOKING).await?;
    let turn = Turn::new(tools, &held);
    while let Some(why) = busy(&place, &held.site()).await? {
        let mine = |found: &Environment| rollout_of(found, execution).map(drop);
        if let Some(next) = turn.wait(&why, mine).await? {
            return Ok(next);
        }
    }
    let found = look(tools, &held.site(), &release, at_most).await?;
    let drifted = !found.drift.is_empty();
    if drifted && held.spec.on_drift == OnDrift::Stop {
        return Err(stopped(&held, &found.drift));
    }
    let table = &tools.backends.table;
    let baseline = if held.site().idle().is_some() {
        tracked::baseline(tools, &held.environment, found.original.as_ref()).await?
    } else {
        let release = held.site().release_name();
        baseline(tools, &held.environment, &release, found.present.as_ref()).await?
    };
    let target = table.put_bundle(&found.target).await?;
    let mut environment = table
        .environment(&held.environment.service, &held.environment.name)
        .await?;
    rollout_of(&environment, execution)?;
    if !prepared(&mut environment, baseline, target) {
        return Ok(Next::now(NextState::Helm, "it was prepared before"));
    }
    let mut transaction = Transaction::new();
    if drifted {
        transaction.record(&mut environment, overwritten(&held, &found.drift), now);
    }
    transaction.update(&environment);
    transaction.commit(table).await?;
    Ok(Next::now(NextState::Helm, "helm was asked what it would do"))
}

/// What helm would do with this release. Nothing is written.
pub(crate) async fn look<'t>(
    tools: &'t Tools,
    site: &Site<'_>,
    release: &Release,
    at_most: Duration,
) -> Result<Prepared<'t>, Failure> {
    let workload = site.workload()?;
    let place = Place::connect(tools, site.spec, LOOKING).await?;
    let name = site.helm_release();
    let revisions = place.revisions(&name).await?;
    if let Some(why) = others(&revisions, above(site)) {
        return Err(Failure::transient(why));
    }
    let secrets = sluice_secrets::current(&tools.secrets, &site.spec.secret_values).await?;
    let archive = archive(tools, site, workload, release).await?;
    let bundle = bundle(site, workload, release, &secrets, archive);
    let present = present(&revisions).cloned();
    let asking = Asking {
        tools,
        place: &place,
        site,
        release,
        secrets: &secrets,
        at_most,
    };
    let asked = async {
        match site.idle() {
            Some(idle) => tracked::ask(&asking, workload, bundle, idle).await,
            None => asking.in_place(bundle).await,
        }
    };
    // Side by side: helm is a process of its own, and drift is asked of the API server.
    let (told, drift) = tokio::try_join!(asked, drift(tools, &place, site, present.as_ref()))?;
    Ok(Prepared {
        hooks: told
            .hooks
            .into_iter()
            .map(|hook| (hook.name, hook.events))
            .collect(),
        target: told.target,
        objects: told
            .objects
            .iter()
            .map(|object| owned(object, &name, &site.spec.namespace))
            .collect(),
        original: told.original,
        place,
        secrets,
        present,
        drift,
    })
}

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
    async fn in_place(&self, mut bundle: HelmBundle) -> Result<Answered, Failure> {
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
        let namespace = &self.site.spec.namespace;
        render(
            self.tools,
            self.place,
            bundle,
            self.secrets,
            namespace,
            self.at_most,
        )
        .await
    }

    /// The objects that it rendered; refused where the release's image is in none of them.
    pub(crate) fn objects(&self, rendered: &Rendered) -> Result<Vec<Value>, Failure> {
        let refused = |fault: sluice_domain::helm::ManifestFault| Failure::refused(fault.to_string());
        let objects = documents(&rendered.manifest).map_err(refused)?;
        workloads(&objects, Some(&self.release.image())).map_err(refused)?;
        Ok(objects)
    }
}

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

    fn workload(&self) -> Result<&HelmWorkload, Failure> {
        match &self.pipeline.workload {
            Workload::Helm(helm) => Ok(helm),
            Workload::Deployment(_) => Err(Failure::internal(
                "helm was asked about a workload that is not its own",
            )),
        }
    }
}

/// Somebody else's helm that is at work is waited for: it writes the same objects.
async fn busy(place: &Place<'_>, site: &Site<'_>) -> Result<Option<String>, Failure> {
    let revisions = place.revisions(&site.helm_release()).await?;
    Ok(others(&revisions, above(site)))
}

/// A fence above all that were given out here.
fn above(site: &Site<'_>) -> Fence {
    site.environment.fence.next(site.environment.fence)
}

fn bundle(
    site: &Site<'_>,
    workload: &HelmWorkload,
    release: &Release,
    secrets: &Secrets,
    archive: Hash,
) -> HelmBundle {
    let packaged = site.package.environments.get(&site.spec.name);
    let mut values = packaged.map(|package| package.values.clone()).unwrap_or_default();
    values.push(own_values(&workload.image, release).to_string());
    let replicas = match (site.idle(), workload.replicas.as_slice()) {
        (None, _) => Vec::new(),
        (Some(_), []) => vec![REPLICA_COUNT.to_owned()],
        (Some(_), said) => said.to_vec(),
    };
    HelmBundle {
        release: site.release_name(),
        chart: ChartRef {
            name: String::new(),
            version: String::new(),
            archive: Some(archive),
        },
        values,
        secret_values: secrets.versions.clone(),
        revision: None,
        content: None,
        tracks: BTreeMap::new(),
        replicas,
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
    name: String,
    #[serde(default)]
    events: Vec<String>,
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

async fn render(
    tools: &Tools,
    place: &Place<'_>,
    bundle: &HelmBundle,
    secrets: &Secrets,
    namespace: &str,
    at_most: Duration,
) -> Result<Rendered, Failure> {
    let archive = bundle
        .chart
        .archive
        .as_ref()
        .ok_or_else(|| Failure::internal("there is no chart to render"))?;
    let archive = tools.backends.table.blob(archive).await?;
    let files = place.files().await?;
    let mut arguments: Vec<String> = ["upgrade", "--install", &bundle.release]
        .map(str::to_owned)
        .into();
    arguments.extend(files.chart(&archive, bundle, &secrets.values).await?);
    arguments.extend(["--namespace", namespace, "--dry-run=server", "--output", "json"].map(str::to_owned));
    let ended = process::run(&tools.program, files.home(), &arguments, at_most, pending()).await?;
    if !ended.success {
        return Err(complaint(
            "helm cannot render the chart",
            &secrets.struck(&ended.complaints),
        ));
    }
    serde_json::from_slice(&ended.output)
        .map_err(|error| Failure::internal(format!("what helm rendered cannot be read: {error}")))
}

/// What others changed since Sluice left the release: its revision, and the objects of that revision. A release that
/// Sluice never wrote cannot have drifted: it is adopted as it is.
async fn drift(
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

/// The value that a chart of `helm create` says its number of pods with.
const REPLICA_COUNT: &str = "replicaCount";

/// Helm's name among the managers of fields (Helm 4, `pkg/kube/client.go`: the program's own name).
pub(crate) const HELM: &str = "helm";

fn stopped(held: &Held, drift: &[String]) -> Failure {
    let (service, environment) = (&held.environment.service, &held.environment.name);
    Failure::refused(format!(
        "others changed what Sluice left: {}. See `sluice plan {service} {environment}`; put it back, or let the rollout write \
         over it with on_drift = \"overwrite\"",
        drift.join("; ")
    ))
}

fn overwritten(held: &Held, drift: &[String]) -> Record {
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

/// What is there now: the live bundle where it is that, else what helm keeps of it.
async fn baseline(
    tools: &Tools,
    environment: &Environment,
    release: &str,
    present: Option<&HelmRevision>,
) -> Result<Baseline, Failure> {
    let Some(present) = present else {
        return Ok(Baseline::Nothing);
    };
    let internal = |error: serde_json::Error| Failure::internal(error.to_string());
    let content = present.content().map_err(internal)?;
    let table = &tools.backends.table;
    let live = match &environment.live {
        Some(live) => Some((live.bundle.clone(), table.bundle(&live.bundle).await?)),
        None => None,
    };
    if let Some((hash, bundle)) = live
        && bundle
            .helm
            .is_some_and(|helm| helm.content.as_ref() == Some(&content))
    {
        return Ok(Baseline::Bundle { hash });
    }
    let objects = documents(&present.manifest).map_err(|fault| Failure::refused(fault.to_string()))?;
    let deployments = workloads(&objects, None).unwrap_or_default();
    let captured = Bundle {
        release: None,
        digest: None,
        children: Vec::new(),
        deployments,
        objects: Vec::new(),
        config_maps: Vec::new(),
        helm: Some(HelmBundle {
            release: release.to_owned(),
            chart: ChartRef {
                name: present.chart.clone(),
                version: present.chart_version.clone(),
                archive: None,
            },
            // Helm keeps them with the revision, and may keep secrets among them: they are not copied.
            values: Vec::new(),
            secret_values: Vec::new(),
            revision: Some(present.revision),
            content: Some(content),
            tracks: BTreeMap::new(),
            replicas: Vec::new(),
        }),
    };
    Ok(Baseline::Bundle {
        hash: table.put_bundle(&captured).await?,
    })
}
