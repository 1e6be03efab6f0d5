//! What a promotion does next before its rollout: everything that is looked at for it.

use crate::ending::{Ending, end_promotion, wake_queue};
use crate::images::load_release;
use crate::{Backends, load_pipeline, spec_of};
use jiff::Timestamp;
use sluice_domain::budget::Budgets;
use sluice_domain::environment::{Environment, Live};
use sluice_domain::gates::{self, Evidence, GateResult, RollbackTarget};
use sluice_domain::ids::{EnvironmentName, PromotionId, ReleaseNumber, Repository, ServiceName};
use sluice_domain::pipeline::{EnvironmentSpec, Pipeline};
use sluice_domain::promotion::Promotion;
use sluice_domain::release::{Image, Release};
use sluice_domain::turn::{self, Turn};
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::Failure;
use sluice_registry::RegistryError;
use sluice_table::TableError;

/// A promotion, its environment, and what comes next.
#[derive(Debug, Clone)]
pub struct Look {
    /// The promotion, as read.
    pub promotion: Promotion,
    /// Its environment, as read.
    pub environment: Environment,
    /// What its pipeline version says of the environment.
    pub spec: EnvironmentSpec,
    /// What comes next.
    pub turn: Turn,
}

/// Looks at a promotion, its place in the queue, its gates and its approval.
pub async fn look(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    id: PromotionId,
    now: Timestamp,
) -> Result<Look, Failure> {
    let promotion = load_promotion(backends, service, environment, id).await?;
    let state = backends.table.environment(service, environment).await?;
    let pipeline = load_pipeline(&backends.table, service, &promotion.pipeline).await?;
    let spec = spec_of(&pipeline, environment)?.clone();
    let its_turn = !promotion.state.is_final() && turn::not_yet(&promotion, &state).is_none();
    let gates = if its_turn {
        let release = load_release(backends, service, promotion.id.release).await?;
        gates_of(backends, &pipeline, &release, &state).await?
    } else {
        Vec::new()
    };
    let turn = turn::decide(&promotion, &state, &spec, &gates, now);
    Ok(Look {
        promotion,
        environment: state,
        spec,
        turn,
    })
}

/// The promotion that an execution is for.
pub async fn load_promotion(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    id: PromotionId,
) -> Result<Promotion, Failure> {
    let missing = || {
        Failure::invalid(format!(
            "there is no promotion of {id} of {service} into {environment}"
        ))
    };
    backends
        .table
        .promotion(service, environment, id)
        .await?
        .ok_or_else(missing)
}

/// The answer of a state for a turn; ends the promotion where that is what comes next. None where the way is free.
pub async fn answer(backends: &Backends, look: &Look, now: Timestamp) -> Result<Option<Next>, Failure> {
    let wait = |next, reason: &str, seconds| Next {
        next,
        seconds,
        reason: reason.to_owned(),
        ok: true,
    };
    Ok(match &look.turn {
        Turn::Over { ok, reason } => {
            // Whoever ended it may have been killed before it woke the next: this is the same call, made again.
            wake_queue(backends, &look.promotion.service, &look.promotion.environment).await?;
            Some(Next {
                next: NextState::Ended,
                seconds: 1,
                reason: reason.clone(),
                ok: *ok,
            })
        }
        Turn::Wait { reason, seconds } => Some(wait(NextState::Wait, reason, *seconds)),
        Turn::Ask { reason, seconds } => Some(wait(NextState::Approve, reason, *seconds)),
        Turn::Proceed { .. } => None,
        Turn::End { state, event, reason } => {
            let Promotion {
                service,
                environment,
                id,
                ..
            } = &look.promotion;
            let ending = Ending {
                state: *state,
                event: *event,
                by: "sluice".to_owned(),
                reason: reason.clone(),
            };
            end_promotion(backends, service, environment, *id, &ending, now).await?;
            Some(Next {
                next: NextState::Ended,
                seconds: 1,
                reason: reason.clone(),
                ok: false,
            })
        }
    })
}

/// What each gate says of bringing a release into an environment. The pipeline is the version that the release keeps.
pub async fn gates_of(
    backends: &Backends,
    pipeline: &Pipeline,
    release: &Release,
    environment: &Environment,
) -> Result<Vec<GateResult>, Failure> {
    let image = image_of(backends, pipeline, release).await?;
    let before = match pipeline.before(&environment.name) {
        Some(before) => Some((&before.name, verified(backends, release, &before.name).await?)),
        None => None,
    };
    let rollback = rollback_target(backends, pipeline, environment).await?;
    let spec = spec_of(pipeline, &environment.name)?;
    let budgets = rollback_budgets(backends, spec, environment).await?;
    let budget = budgets.as_ref().map(|budgets| (budgets, spec.rollback_within));
    Ok(gates::check(&Evidence {
        release,
        image: image.as_ref(),
        before,
        rollback,
        budget,
    }))
}

/// The image as ECR has it; none when it or one of its children is gone, or cannot be pulled.
async fn image_of(
    backends: &Backends,
    pipeline: &Pipeline,
    release: &Release,
) -> Result<Option<Image>, Failure> {
    match backends
        .registry
        .image(&pipeline.source.repository, &release.digest)
        .await
    {
        Ok(image) => Ok(image),
        Err(RegistryError::ChildMissing { .. } | RegistryError::NotPullable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a release was ever verified in an environment.
pub async fn verified(
    backends: &Backends,
    release: &Release,
    environment: &EnvironmentName,
) -> Result<bool, Failure> {
    use sluice_domain::promotion::PromotionState::Verified;
    let tries = backends
        .table
        .promotions_of(&release.service, environment, release.number)
        .await?;
    Ok(tries
        .iter()
        .any(|promotion| promotion.state == Verified && promotion.digest == release.digest))
}

async fn rollback_target(
    backends: &Backends,
    pipeline: &Pipeline,
    environment: &Environment,
) -> Result<RollbackTarget, Failure> {
    let Some(live) = &environment.live else {
        return Ok(RollbackTarget::NoneYet);
    };
    let what = live.release.map_or_else(
        || "what ran before Sluice".to_owned(),
        |release| release.to_string(),
    );
    match backends.table.bundle(&live.bundle).await {
        Ok(_) => {}
        Err(TableError::Missing { .. } | TableError::Corrupt { .. }) => {
            return Ok(RollbackTarget::BundleMissing(what));
        }
        Err(error) => return Err(error.into()),
    }
    let repository = match live.release {
        Some(release) => repository_of(backends, &environment.service, release).await?,
        None => pipeline.source.repository.clone(),
    };
    image_there(backends, &repository, live, what).await
}

/// How long a rollback may take that brings back what is live; none where nothing is, or where it cannot be read, which
/// another gate says.
pub async fn rollback_budgets(
    backends: &Backends,
    spec: &EnvironmentSpec,
    environment: &Environment,
) -> Result<Option<Budgets>, Failure> {
    let Some(live) = &environment.live else {
        return Ok(None);
    };
    match backends.table.bundle(&live.bundle).await {
        Ok(bundle) => Ok(Some(Budgets::of(&bundle, spec, environment))),
        Err(TableError::Missing { .. } | TableError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where a release's image lies: the service may have moved to another repository since.
async fn repository_of(
    backends: &Backends,
    service: &ServiceName,
    release: ReleaseNumber,
) -> Result<Repository, Failure> {
    let release = load_release(backends, service, release).await?;
    let pipeline = load_pipeline(&backends.table, service, &release.pipeline).await?;
    Ok(pipeline.source.repository)
}

async fn image_there(
    backends: &Backends,
    repository: &Repository,
    live: &Live,
    what: String,
) -> Result<RollbackTarget, Failure> {
    let Some(digest) = &live.digest else {
        return Ok(RollbackTarget::Ready(what));
    };
    match backends.registry.image(repository, digest).await {
        Ok(Some(_)) => Ok(RollbackTarget::Ready(what)),
        Ok(None) | Err(RegistryError::ChildMissing { .. } | RegistryError::NotPullable { .. }) => {
            Ok(RollbackTarget::ImageGone(what))
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps on the promotion's row what it waits for, so that `status` can say it.
pub async fn set_reason(backends: &Backends, look: &Look, next: &Next) -> Result<(), Failure> {
    let told = look.promotion.reason.as_deref() == Some(next.reason.as_str());
    let waits = matches!(look.turn, Turn::Wait { .. });
    if told || !waits || look.promotion.state.is_final() {
        return Ok(());
    }
    let mut promotion = look.promotion.clone();
    promotion.reason = Some(next.reason.clone());
    let mut transaction = sluice_table::Transaction::new();
    transaction.update(&promotion);
    Ok(transaction.commit(&backends.table).await?)
}
