//! What a function reaches.

use aws_config::SdkConfig;
use sluice_cluster::ClusterAddress;
use sluice_domain::ids::PromotionId;
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_domain::wire::Step;
use sluice_executions::{Executions, MachineArn};
use sluice_lambda::{Failure, config, settings};
use sluice_registry::Registry;
use sluice_table::Table;

/// What a function reaches.
#[derive(Debug, Clone)]
pub struct Backends {
    /// The table.
    pub table: Table,
    /// The state machines.
    pub executions: Executions,
    /// The images.
    pub registry: Registry,
}

impl Backends {
    /// Those that the function's settings name, with the configuration they are reached by. The connection to the table
    /// is made now: Lambda lets a function start without throttling it, and the first request is faster for it.
    pub async fn from_settings() -> Result<(Self, SdkConfig), Failure> {
        let names = [
            settings::TABLE,
            settings::PROMOTION_MACHINE,
            settings::ROLLBACK_MACHINE,
        ];
        let [table, promotion, rollback] = settings::required(names)?;
        let config = config().await;
        let (promotion, rollback) = (MachineArn::parse(&promotion)?, MachineArn::parse(&rollback)?);
        let backends = Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(&config), table),
            executions: Executions::new(aws_sdk_sfn::Client::new(&config), promotion, rollback),
            registry: Registry::new(aws_sdk_ecr::Client::new(&config)),
        };
        if let Err(error) = backends.table.warm().await {
            tracing::warn!(%error, "the table was not reached at the start");
        }
        Ok((backends, config))
    }
}

/// Which promotion a state is about.
pub fn promotion_of(step: &Step) -> Result<PromotionId, Failure> {
    let missing = || Failure::invalid("`work` names no promotion: `release` and `attempt` are missing");
    step.work.promotion_id().ok_or_else(missing)
}

/// The task token of a token state.
pub fn token_of(step: &Step) -> Result<&str, Failure> {
    let missing = || Failure::invalid("`token` is missing: this function is called with .waitForTaskToken");
    step.token
        .as_deref()
        .filter(|token| !token.is_empty())
        .ok_or_else(missing)
}

/// Where an environment is.
pub fn address_of(spec: &EnvironmentSpec) -> ClusterAddress {
    ClusterAddress {
        cluster: spec.cluster.clone(),
        region: spec.region.clone(),
        role: spec.role.clone(),
        namespace: spec.namespace.clone(),
    }
}
