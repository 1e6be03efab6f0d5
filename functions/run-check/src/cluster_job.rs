//! A check that is a Kubernetes Job.

use crate::handler::{Outcome, Scene, Tools};
use crate::reply::shortened;
use serde_json::Value;
use sluice_cluster::{Namespace, WaitEnd};
use sluice_domain::check::{Stage, Subject, job};
use sluice_domain::environment::Wanted;
use sluice_domain::rollout::bundle_of;
use sluice_domain::workload::{self, Leaving, ObservedJob, Verdict, WorkloadRef};
use sluice_lambda::Failure;
use sluice_transitions::{address_of, load_release};
use std::future::pending;
use std::time::Duration;

/// How long one watch lasts at most: then the rollout looks at its pods again.
const WATCH: Duration = Duration::from_secs(60);
/// The most of a log that is kept.
const LOG: usize = 64 << 10;

/// Makes the Job, where it is not there, and watches it for a while.
pub(crate) async fn run(
    tools: &Tools,
    scene: &Scene,
    file: &str,
    at_most: Duration,
) -> Result<Outcome, Failure> {
    let manifest = scene
        .package
        .jobs
        .get(file)
        .ok_or_else(|| Failure::internal(format!("the Job of {file} was not packaged")))?;
    let release = load_release(&tools.backends, &scene.environment.service, scene.release).await?;
    let subject = Subject {
        environment: &scene.environment.name,
        execution: &scene.execution,
        release: &release,
    };
    let job = job(manifest, subject, &scene.run);
    let name = job
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let namespace = tools.clusters.connect(&address_of(&scene.spec)).await?;
    if scene.left.is_zero() {
        return late(tools, scene, &namespace, name).await;
    }
    namespace.create_job(&job, scene.run.fence).await?;
    let limit = WATCH.min(at_most).min(scene.left);
    let seen = tokio::select! {
        biased;
        seen = namespace.wait_for_job(name, limit) => seen?,
        trouble = trouble(tools, scene, &namespace, limit) => return Ok(Outcome::Runs(trouble?)),
    };
    let Some(verdict) = seen.as_ref().and_then(verdict) else {
        return Ok(Outcome::Runs(format!("Job {name} runs")));
    };
    let log = log(tools, scene, &namespace, name).await?;
    Ok(Outcome::Answered(with_last_word(verdict, &log), Some(log)))
}

/// A failure with the last line that was printed: the cluster only knows that it failed.
fn with_last_word(verdict: Verdict, log: &str) -> Verdict {
    let last = log.lines().rev().find(|line| !line.trim().is_empty());
    match (verdict, last) {
        (Verdict::Failed(why), Some(last)) => {
            Verdict::Failed(format!("{why}. It printed last: {}", shortened(last.trim())))
        }
        (verdict, _) => verdict,
    }
}

/// What it printed, without what Sluice gave the release's chart: a Job may read the chart's Secrets.
async fn log(tools: &Tools, scene: &Scene, namespace: &Namespace, name: &str) -> Result<String, Failure> {
    let log = namespace.job_logs(name, LOG).await?;
    let secrets = sluice_secrets::unsaid(&tools.secrets, &tools.backends.table, &scene.environment).await;
    Ok(sluice_secrets::struck(secrets.as_ref(), &log))
}

/// Ends when a pod of the release is in trouble, or another holder has written: then the rollout looks at once, and does not
/// wait for the check.
async fn trouble(
    tools: &Tools,
    scene: &Scene,
    namespace: &Namespace,
    limit: Duration,
) -> Result<String, Failure> {
    let rollout = scene.environment.under_way();
    let wanted = rollout.and_then(|rollout| Some((rollout.wanted()?, rollout.fence)));
    let (Stage::Verify, Some((wanted, fence))) = (scene.run.stage, wanted) else {
        return pending().await;
    };
    let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
    let bundle = bundle_of(wanted, tools.backends.table.bundle(hash).await?);
    let asked = WorkloadRef::all_of(&bundle);
    let failed = |observed: &_| {
        matches!(
            workload::verdict(&bundle, observed, Leaving::Awaited),
            Verdict::Failed(_)
        )
    };
    match namespace.wait_for(&asked, limit, fence, failed).await? {
        WaitEnd::Settled(_) => Ok("pods are in trouble while the check runs".to_owned()),
        WaitEnd::TimedOut(_) => pending().await,
        WaitEnd::Preempted { seen } => Err(Failure::preempted(format!(
            "another holder has written {} with fence {seen}",
            scene.environment.name
        ))),
    }
}

fn verdict(job: &ObservedJob) -> Option<Verdict> {
    if job.complete {
        return Some(Verdict::Passed);
    }
    let why = job.failure.as_ref().or(job.problem.as_ref())?;
    Some(Verdict::Failed(format!("Job {}: {why}", job.name)))
}

/// Its time is over. It may be over too, meanwhile; else it is stopped: a later try must not run beside it.
async fn late(tools: &Tools, scene: &Scene, namespace: &Namespace, name: &str) -> Result<Outcome, Failure> {
    let Some(seen) = namespace.job(name).await? else {
        return Ok(Outcome::Answered(
            Verdict::Inconclusive(format!("Job {name} was not made in time, or is gone")),
            None,
        ));
    };
    let log = log(tools, scene, namespace, name).await?;
    if let Some(verdict) = verdict(&seen) {
        return Ok(Outcome::Answered(with_last_word(verdict, &log), Some(log)));
    }
    let fence = scene.run.fence;
    namespace.suspend_job(name, fence.next(fence)).await?;
    let why = format!("Job {name} did not end in time, and was suspended");
    Ok(Outcome::Answered(Verdict::Inconclusive(why), Some(log)))
}
