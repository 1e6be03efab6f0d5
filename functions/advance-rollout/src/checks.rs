//! Checks before a rollout and after it: what is recorded of them.

use crate::handler::commit;
use crate::scene::Scene;
use jiff::Timestamp;
use sluice_domain::check::{self, Stage};
use sluice_domain::wire::{Next, NextState};
use sluice_domain::workload::Verdict;
use sluice_lambda::Failure;
use sluice_transitions::Backends;

/// Records that a check is run; its own function runs it.
pub(crate) async fn start(
    backends: &Backends,
    scene: Scene,
    step: u32,
    stage: Stage,
    name: &str,
    attempt: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let wanted = stage.of(&scene.spec).iter().find(|check| check.name == name);
    let wanted = wanted.ok_or_else(|| Failure::internal(format!("there is no check {name}")))?;
    let by_helm = check::is_helms(&scene.spec, stage, name);
    let mut environment = scene.environment;
    let record = check::start(&mut environment, step, stage, wanted, attempt, now);
    commit(backends, environment, record, now).await?;
    Ok(Next::now(runner(by_helm), format!("{stage} {name} runs")))
}

/// Which function runs a check.
pub(crate) fn runner(by_helm: bool) -> NextState {
    if by_helm {
        NextState::Helm
    } else {
        NextState::Check
    }
}

/// Records that the check that runs gave no answer in time: its function did not live to say so.
pub(crate) async fn silent(
    backends: &Backends,
    scene: Scene,
    reason: String,
    now: Timestamp,
) -> Result<Next, Failure> {
    let mut environment = scene.environment;
    let running = check::running(&scene.rollout).cloned();
    let running = running.ok_or_else(|| Failure::internal("no check runs that could be silent"))?;
    let verdict = Verdict::Inconclusive(reason.clone());
    let record = check::answer(&mut environment, &running, verdict, None, now);
    commit(backends, environment, record, now).await?;
    Ok(Next::now(NextState::Check, reason))
}

/// Records that a person is awaited from now on.
pub(crate) async fn hold(
    backends: &Backends,
    scene: Scene,
    step: u32,
    reason: &str,
    now: Timestamp,
) -> Result<Next, Failure> {
    let mut environment = scene.environment;
    let record = check::hold(&mut environment, step, &scene.spec, reason, now);
    commit(backends, environment, record, now).await?;
    let seconds = scene.spec.hold_for.get().min(300);
    Ok(awaits(reason.to_owned(), seconds))
}

/// The answer that lets the execution sleep.
pub(crate) fn awaits(reason: String, seconds: u64) -> Next {
    Next {
        next: NextState::Answer,
        seconds,
        reason,
        ok: true,
    }
}
