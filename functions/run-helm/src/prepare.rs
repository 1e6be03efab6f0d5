//! Before the first write: what is there, what is to be, and whether others changed it.

use crate::archive::archive;
use crate::asking::Asking;
use crate::drift::{drift, overwritten, stopped};
use crate::handler::{Held, Tools, rollout_of};
use crate::place::{LOOKING, Place};
use crate::site::Site;
use crate::tracked;
use crate::turn::Turn;
use jiff::Timestamp;
use serde_json::Value;
use sluice_domain::bundle::{Baseline, Bundle, ChartRef, HelmBundle};
use sluice_domain::environment::Environment;
use sluice_domain::helm::{HelmRevision, documents, others, own_values, owned, present, workloads};
use sluice_domain::ids::{ExecutionName, Hash};
use sluice_domain::pipeline::{HelmWorkload, OnDrift};
use sluice_domain::release::Release;
use sluice_domain::rollout::prepared;
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::Failure;
use sluice_secrets::Secrets;
use sluice_table::Transaction;
use sluice_transitions::load_release;
use std::collections::BTreeMap;
use std::time::Duration;

/// The value that a chart of `helm create` says its number of pods with.
const REPLICA_COUNT: &str = "replicaCount";

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
    if let Some(why) = others(&revisions, site.above()) {
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

/// Somebody else's helm that is at work is waited for: it writes the same objects.
async fn busy(place: &Place<'_>, site: &Site<'_>) -> Result<Option<String>, Failure> {
    let revisions = place.revisions(&site.helm_release()).await?;
    Ok(others(&revisions, site.above()))
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
