//! `make bench`: how fast, against floors measured in the same run, and what a question costs.
//!
//! | file | what | beside |
//! |---|---|---|
//! | `deployment` | a push to the first write, a rollback to the old digest | one PATCH of such a Deployment and a watch |
//! | `helm` | a promotion and a rollback of a chart | `helm upgrade --install --wait`, `helm rollback --wait` |
//! | `start` | from a function's start to its first wait for work | a Lambda function in Rust that does nothing |
//! | `cost` | what a question reads of the table | the same with a hundred times the history |
//!
//! Rounds alternate, so that a machine that gets slower slows both.

mod cost;
mod deployment;
mod helm;
mod start;
mod times;

use anyhow::Result;
use sluice_tests::World;

#[tokio::main]
async fn main() -> Result<()> {
    let world = World::load().await?;
    deployment::speed(&world).await?;
    helm::speed(&world).await?;
    start::speed(&world).await?;
    cost::cost(&world).await
}
