//! A chart on its way: packed by the command, checked again by `operate`, and stored by its hash.

use anyhow::{Context, Result, ensure};
use sluice_domain::ids::ServiceName;
use sluice_domain::pipeline::Package;
use sluice_table::Table;
use sluice_tests::World;
use std::path::Path;

/// The exit status of `sluice` for what is invalid, as its help lists it.
const INVALID: i32 = 3;

const PIPELINE: &str = r#"service = "t-charts"
[source]
repository = "t-charts"
tags = ["^[0-9a-f]{7,40}$"]
[workload.helm]
chart = "charts/api"
image = "image"
[[environment]]
name = "dev"
cluster = "charts-dev"
namespace = "t-charts"
values = ["values.dev.yaml"]
scale = 0.5
verify = [{ job = "jobs/test.yaml" }]
[[environment]]
name = "production"
cluster = "charts-production"
namespace = "t-charts"
"#;

const FILES: [(&str, &str); 6] = [
    ("pipeline.toml", PIPELINE),
    ("values.dev.yaml", "debug: true\n"),
    (
        "jobs/test.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: test}\n\
         spec: {template: {spec: {restartPolicy: Never, containers: [{name: test}]}}}\n",
    ),
    (
        "charts/api/Chart.yaml",
        "apiVersion: v2\nname: api\nversion: 1.2.3\n",
    ),
    (
        "charts/api/values.yaml",
        "replicaCount: 5\nimage: {repository: x, digest: ''}\n",
    ),
    ("charts/api/templates/api.yaml", "# nothing\n"),
];

fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    Ok(std::fs::write(path, text)?)
}

#[tokio::test]
async fn a_chart_is_stored_with_the_version_that_names_it() -> Result<()> {
    // Given a repository with a chart
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let root = std::env::temp_dir().join(format!("sluice-{}-t-charts", std::process::id()));
    for (path, text) in FILES {
        write(&root, path, text)?;
    }
    let (file, folder) = (
        root.join("pipeline.toml").display().to_string(),
        root.display().to_string(),
    );
    let apply = ["apply", file.as_str(), "--root", folder.as_str()];
    // When Ana applies it
    ana.run(&apply).await?;
    // Then the version's package names the chart, and its archive is what was packed
    let client = aws_sdk_dynamodb::Client::new(&world.config);
    let table = Table::new(client, world.local.sluice()?.table.clone());
    let service = ServiceName::parse("t-charts")?;
    let meta = table.overview(&service).await?.context("the service")?.meta;
    let version = table
        .find_pipeline(&service, &meta.pipeline)
        .await?
        .context("the version")?;
    let package: Package = table.json(&version.package).await?;
    let chart = package.chart.context("a chart")?;
    ensure!(
        (chart.name.as_str(), chart.version.as_str()) == ("api", "1.2.3"),
        "{chart:?}"
    );
    let archive = table.blob(&chart.archive).await?;
    ensure!(archive.starts_with(&[0x1f, 0x8b]), "a gzip");
    // And each environment has its values, of which the last are the scaled ones, and its Jobs
    let dev = package.environments.values().next().context("dev")?;
    ensure!(
        dev.values.len() == 2 && dev.values.concat().contains("{\"replicaCount\":3}"),
        "{dev:?}"
    );
    ensure!(dev.jobs.contains_key("jobs/test.yaml"), "{dev:?}");
    // When it is applied again, then it is the same version
    let again = ana.run(&apply).await?;
    ensure!(again.contains("is the current one already"), "{again}");
    // When the chart cannot be installed, then nothing is published
    write(
        &root,
        "charts/api/Chart.yaml",
        "apiVersion: v2\nname: api\nversion: 1.2.4\ntype: library\n",
    )?;
    let said = ana.refused(&apply, INVALID).await?;
    ensure!(said.contains("cannot be installed"), "{said}");
    let after = table.overview(&service).await?.context("the service")?.meta;
    ensure!(after.pipeline == meta.pipeline, "another version");
    Ok(std::fs::remove_dir_all(&root)?)
}
