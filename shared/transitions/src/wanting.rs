//! Wanting a release in an environment: the queue, the promotion and the ledger in one transaction.

use crate::starting::{start_promotion, wake};
use crate::{Backends, racing};
use jiff::Timestamp;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, PromotionId};
use sluice_domain::promotion::{Asker, Promotion, PromotionState};
use sluice_domain::release::Release;
use sluice_domain::want::{Word, want};
use sluice_lambda::Failure;
use sluice_table::Transaction;

/// What came of wanting a release in an environment.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The promotion.
    pub promotion: Promotion,
    /// Another promotion that lost its place.
    pub superseded: Option<PromotionId>,
}

/// Adds to a transaction that a release is wanted in an environment.
pub(crate) async fn add_wish(
    backends: &Backends,
    transaction: &mut Transaction,
    environment: &mut Environment,
    release: &Release,
    asked_by: Asker,
    word: &Word,
    now: Timestamp,
) -> Result<Wish, Failure> {
    let (service, name) = (&release.service, environment.name.clone());
    let last = backends
        .table
        .latest_attempt(service, &name, release.number)
        .await?;
    let attempt = last.map_or(1, |last| last.id.attempt.saturating_add(1));
    let wanted = want(environment, release, attempt, asked_by, now).with(word);
    for record in wanted.records {
        transaction.record(environment, record, now);
    }
    transaction.update(environment);
    transaction.create(&wanted.promotion);
    if let Some(lost) = wanted.superseded {
        let why = format!("{} took its place", release.number);
        supersede(backends, transaction, environment, lost, why, now).await?;
    }
    Ok(Wish {
        promotion: wanted.promotion,
        superseded: wanted.superseded,
    })
}

async fn supersede(
    backends: &Backends,
    transaction: &mut Transaction,
    environment: &Environment,
    lost: PromotionId,
    why: String,
    now: Timestamp,
) -> Result<(), Failure> {
    let found = backends
        .table
        .promotion(&environment.service, &environment.name, lost)
        .await?;
    if let Some(mut promotion) = found.filter(|promotion| !promotion.state.is_final()) {
        promotion.end(PromotionState::Superseded, why, now);
        transaction.update(&promotion);
    }
    Ok(())
}

/// What follows from a recorded wish: its execution, and the end of the one that lost its place.
pub(crate) async fn follow_wish(backends: &Backends, wish: &Wish) -> Result<(), Failure> {
    let Promotion {
        service,
        environment,
        id,
        ..
    } = &wish.promotion;
    if !wish.promotion.state.is_final() {
        start_promotion(backends, service, environment, *id).await?;
    }
    match wish.superseded {
        Some(lost) => wake(backends, service, environment, lost).await,
        None => Ok(()),
    }
}

/// Wants a release in an environment, as a person's wish or as the sweep's, and starts its execution.
///
/// Refused where the release is on its way there already: of two who ask at once, the second is told so.
pub async fn want_promotion(
    backends: &Backends,
    release: &Release,
    environment: &EnvironmentName,
    asked_by: &Asker,
    word: &Word,
    now: Timestamp,
) -> Result<Wish, Failure> {
    let wish = racing(|| async {
        let mut state = backends.table.environment(&release.service, environment).await?;
        if let Some(there) = state.on_its_way(release.number) {
            let name = format!("{}{}", release.service, release.number);
            return Err(Failure::refused(format!(
                "{name} is on its way into {environment} already, as {there}"
            )));
        }
        let mut transaction = Transaction::new();
        let wish = add_wish(
            backends,
            &mut transaction,
            &mut state,
            release,
            asked_by.clone(),
            word,
            now,
        )
        .await?;
        transaction.commit(&backends.table).await?;
        Ok(wish)
    })
    .await?;
    follow_wish(backends, &wish).await?;
    Ok(wish)
}
