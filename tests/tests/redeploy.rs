//! Sluice is deployed over itself while releases wait.

use anyhow::{Context, Result, ensure};
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::outside::ended;
use sluice_tests::seen::{until_asked, until_live};
use sluice_tests::service::{Delivered, Options};
use tokio::process::Command;

/// The versions of a function that were published, and the one that the promotion machine's definition names.
async fn versions(world: &World, function: &str) -> Result<(Vec<String>, String)> {
    let sluice = world.local.sluice()?;
    let arn = sluice
        .functions
        .get(function)
        .context("there is such a function")?;
    let listed = aws_sdk_lambda::Client::new(&world.config)
        .list_versions_by_function()
        .function_name(arn)
        .send()
        .await?;
    let published = listed.versions().iter().filter_map(|one| one.version());
    let published = published
        .filter(|version| *version != "$LATEST")
        .map(str::to_owned)
        .collect();
    let machine = sluice
        .state_machines
        .get("promotion")
        .context("there is such a machine")?;
    let described = aws_sdk_sfn::Client::new(&world.config)
        .describe_state_machine()
        .state_machine_arn(machine)
        .send()
        .await?;
    let (_, rest) = described
        .definition()
        .split_once(&format!("{arn}:"))
        .with_context(|| format!("the definition does not name a version of {arn}"))?;
    let named = rest.split('"').next().unwrap_or_default().to_owned();
    Ok((published, named))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_waits_across_a_deployment_of_sluice_goes_on() -> Result<()> {
    // Given a release that waits for approval
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let asks = Options {
        approval: true,
        ..Options::default()
    };
    let service = Delivered::new(&world, "t-redeploy", &asks).await?;
    let name = service.name.as_str();
    let first = service.push(&Image::new("redeploy 1"), &["1111111"]).await?;
    until_asked(&ana, name, "dev", 1).await?;
    let (before, old) = versions(&world, "take-lease").await?;
    // When Sluice is deployed anew: other versions of its functions, and state machines that name them
    let here = std::env::current_exe()?;
    let binaries = here.ancestors().nth(2);
    let local = binaries
        .context("tests lie two folders below the binaries")?
        .join("sluice-local");
    let redeployed = Command::new(local).args(["redeploy", "newer"]).output().await?;
    ensure!(redeployed.status.success(), "{redeployed:?}");
    let (after, new) = versions(&world, "take-lease").await?;
    ensure!(
        after.len() == before.len() + 1,
        "published: {before:?}, then {after:?}"
    );
    ensure!(
        after.contains(&old),
        "the version that an execution waits with is gone: {after:?}"
    );
    ensure!(new != old, "the machine still names version {old}");
    // Then the one that waited goes on when it is approved, by the versions that it started with
    ana.run(&["approve", name, "dev", "1"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    service.assert_runs(&first).await?;
    ensure!(ended(&world, "promotion", "t-redeploy-1-dev-1").await? == "SUCCEEDED");
    // and one that is pushed now goes by the new ones
    let second = service.push(&Image::new("redeploy 2"), &["2222222"]).await?;
    until_asked(&ana, name, "dev", 2).await?;
    ana.run(&["approve", name, "dev", "2"]).await?;
    until_live(&ana, name, "dev", 2).await?;
    service.assert_runs(&second).await?;
    service.cleanup().await
}
