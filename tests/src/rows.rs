//! The table's rows, read and written with an administrator's credentials.

use crate::World;
use crate::wait::until;
use anyhow::{Context, Result};
use sluice_domain::check::CheckRun;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_table::Table;
use std::time::Duration;

/// The table itself.
pub fn table(world: &World) -> Result<Table> {
    let client = aws_sdk_dynamodb::Client::new(&world.config);
    Ok(Table::new(client, world.local.sluice()?.table.clone()))
}

/// An environment's row.
pub async fn row(world: &World, service: &str, environment: &str) -> Result<Environment> {
    let (service, environment) = (ServiceName::parse(service)?, EnvironmentName::parse(environment)?);
    Ok(table(world)?.environment(&service, &environment).await?)
}

/// Waits until an environment's row is as wanted.
pub async fn until_row(
    world: &World,
    service: &str,
    environment: &str,
    limit: Duration,
    wanted: impl Fn(&Environment) -> bool,
) -> Result<Environment> {
    until(
        &format!("the row of {service} in {environment}"),
        limit,
        || async {
            let found = row(world, service, environment).await?;
            Ok(if wanted(&found) {
                Ok(found)
            } else {
                Err(format!("{:?}", found.rollout))
            })
        },
    )
    .await
}

/// The checks that were run for the rollout of a row.
pub fn checks(row: &Environment) -> &[CheckRun] {
    row.rollout
        .as_ref()
        .map(|rollout| rollout.checks.as_slice())
        .unwrap_or_default()
}

/// What a check printed, as it is stored.
pub async fn log(world: &World, run: &CheckRun) -> Result<String> {
    let hash = run
        .log
        .as_ref()
        .with_context(|| format!("{} has no log", run.name))?;
    Ok(String::from_utf8(table(world)?.blob(hash).await?)?)
}
