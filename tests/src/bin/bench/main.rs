//! `make bench`: how fast, against floors measured in the same run, and what a question costs.
//!
//! | file | what | beside |
//! |---|---|---|
//! | `deployment` | a push to the first write, a rollback to the old digest | one PATCH of such a Deployment and a watch |
//! | `helm` | a promotion and a rollback of a chart | `helm upgrade --install --wait`, `helm rollback --wait` |
//! | `tracks` | a call, or an alarm, to the weights back and accepted; what a canary costs | one PATCH of such a route and a watch |
//! | `cold` | a call to the old digest and configuration on ten pods | `kubectl rollout undo` and `rollout status`, `helm rollback --wait` |
//! | `start` | from a function's start to its first wait for work | a Lambda function in Rust that does nothing |
//! | `cost` | what a question reads of the table | the same with a hundred times the history |
//!
//! `make bench ARMS="tracks cold"` runs those alone. Rounds alternate, so that a machine that gets slower slows both.

mod cold;
mod cost;
mod deployment;
mod helm;
mod plain;
mod start;
mod times;
mod tracks;
mod watching;

use anyhow::{Result, bail};
use sluice_tests::World;

#[tokio::main]
async fn main() -> Result<()> {
    let world = World::load().await?;
    for arm in arms()? {
        match arm.as_str() {
            "deployment" => deployment::speed(&world).await?,
            "helm" => helm::speed(&world).await?,
            "tracks" => tracks::speed(&world).await?,
            "cold" => cold::speed(&world).await?,
            "start" => start::speed(&world).await?,
            _ => cost::cost(&world).await?,
        }
    }
    Ok(())
}

/// Those that `ARMS` names; without it all of them.
fn arms() -> Result<Vec<String>> {
    const ALL: [&str; 6] = ["deployment", "helm", "tracks", "cold", "start", "cost"];
    let named = std::env::var("ARMS").unwrap_or_default();
    let named: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
    if let Some(unknown) = named.iter().find(|arm| !ALL.contains(&arm.as_str())) {
        bail!("ARMS names {unknown}, which is none of {}", ALL.join(", "));
    }
    Ok(if named.is_empty() {
        ALL.map(str::to_owned).to_vec()
    } else {
        named
    })
}
