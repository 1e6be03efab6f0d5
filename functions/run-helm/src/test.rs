//! A check that is the chart's own test: `helm test`.

use crate::handler::{Held, Tools, rollout_of};
use crate::place::{Place, writing};
use crate::process;
use jiff::Timestamp;
use sluice_domain::bundle::HelmBundle;
use sluice_domain::check::{self, CheckRun, is_helms};
use sluice_domain::helm::HelmStatus;
use sluice_domain::wire::{Next, NextState};
use sluice_domain::workload::Verdict;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::racing;
use std::future::pending;
use std::time::Duration;

/// The most of a log that is kept.
const LOG: usize = 64 << 10;
/// How much is read of a Job's, in bytes.
const READ: usize = 256 << 10;

/// Runs the chart's tests, and records what they answer.
pub(crate) async fn test(
    tools: &Tools,
    held: Held,
    run: &CheckRun,
    now: Timestamp,
    at_most: Duration,
) -> Result<Next, Failure> {
    if !is_helms(&held.spec, run.stage, &run.name) {
        return Ok(Next::now(NextState::Check, "this check is not helm's"));
    }
    let left = Duration::try_from(run.deadline.duration_since(now)).unwrap_or(Duration::ZERO);
    let (verdict, log) = if left.is_zero() {
        let why = "the chart's tests did not end in time".to_owned();
        (Verdict::Inconclusive(why), None)
    } else {
        let (verdict, log) = run_tests(tools, &held, left.min(at_most)).await?;
        (verdict, Some(log))
    };
    record(tools, &held, run, verdict, log).await
}

async fn run_tests(tools: &Tools, held: &Held, limit: Duration) -> Result<(Verdict, String), Failure> {
    let fence = held.environment.helm.as_ref().map(|run| run.fence);
    let fence = fence.ok_or_else(|| Failure::internal("helm tests what it has not written"))?;
    let release = release(bundle(tools, held).await?, held);
    let place = Place::connect(tools, &held.spec, &writing(fence)).await?;
    let files = place.files().await?;
    let arguments = [
        "test".to_owned(),
        release.clone(),
        "--logs".to_owned(),
        format!("--namespace={}", held.spec.namespace),
        format!("--timeout={}s", limit.as_secs().max(1)),
    ];
    let over = limit.saturating_add(Duration::from_secs(10));
    let ended = process::run(&tools.program, files.home(), &arguments, over, pending()).await?;
    // A chart's tests run with the chart's secrets.
    let secrets = sluice_secrets::unsaid(&tools.secrets, &tools.backends.table, &held.environment).await;
    let struck = |text: &str| sluice_secrets::struck(secrets.as_ref(), text);
    let jobs = jobs(&place, &release).await?;
    let said = String::from_utf8_lossy(&ended.output);
    let log = struck(&format!("{said}{}{jobs}", ended.complaints));
    let verdict = if ended.success {
        Verdict::Passed
    } else if ended.complaints.contains("context deadline exceeded") || ended.complaints.contains("timed out")
    {
        Verdict::Inconclusive(format!("the chart's tests did not end in {} s", limit.as_secs()))
    } else {
        let why = crate::complaint::complaint("the chart's tests failed", &struck(&ended.complaints));
        Verdict::Failed(why.to_string())
    };
    Ok((verdict, log))
}

/// What the tests that are Jobs printed: helm shows the logs of those that are Pods.
async fn jobs(place: &Place<'_>, release: &str) -> Result<String, Failure> {
    let revisions = place.revisions(release).await?;
    let latest = revisions
        .iter()
        .find(|revision| revision.status == HelmStatus::Deployed);
    let tests = latest.into_iter().flat_map(|latest| &latest.hooks);
    let tests = tests.filter(|hook| hook.kind == "Job" && hook.events.iter().any(|event| event == "test"));
    let mut said = String::new();
    for test in tests {
        said += &place.namespace.job_logs(&test.name, READ).await?;
    }
    Ok(said)
}

/// The Helm release that is tested: that of the track, where it is on one.
fn release(bundle: HelmBundle, held: &Held) -> String {
    let track = held.rollout.traffic.as_ref().and_then(|traffic| traffic.to);
    let own = track.and_then(|track| bundle.tracks.get(&track));
    own.map_or(bundle.release, |own| own.release.clone())
}

async fn bundle(tools: &Tools, held: &Held) -> Result<HelmBundle, Failure> {
    let hash = held
        .rollout
        .target
        .as_ref()
        .ok_or_else(|| Failure::internal("a rollout without a target is tested"))?;
    let bundle = tools.backends.table.bundle(hash).await?;
    bundle
        .helm
        .ok_or_else(|| Failure::internal("helm tests what is not its own"))
}

async fn record(
    tools: &Tools,
    held: &Held,
    run: &CheckRun,
    verdict: Verdict,
    log: Option<String>,
) -> Result<Next, Failure> {
    let table = &tools.backends.table;
    let log = match log {
        Some(log) => Some(table.put_blob(crate::apply::end(&log, LOG).as_bytes()).await?),
        None => None,
    };
    let (service, name) = (&held.environment.service, &held.environment.name);
    racing(|| async {
        let mut environment = table.environment(service, name).await?;
        rollout_of(&environment, &held.rollout.owner)?;
        let now = sluice_lambda::now();
        let Some(record) = check::answer(&mut environment, run, verdict.clone(), log.clone(), now) else {
            return Ok(());
        };
        let mut transaction = Transaction::new();
        transaction.record(&mut environment, record, now);
        transaction.update(&environment);
        Ok(transaction.commit(table).await?)
    })
    .await?;
    Ok(Next::now(
        NextState::Check,
        format!("{} has its answer", run.name),
    ))
}
