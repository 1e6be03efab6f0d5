//! A chart: through Sluice, and by plain helm with `--wait`, on the same control plane, with the same images.

use crate::deployment::roll_back;
use crate::plain;
use crate::times::{Times, head, met};
use anyhow::{Result, ensure};
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_local::image::Image;
use sluice_table::Table;
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{World, world};
use std::time::{Duration, Instant};

const ROUNDS: usize = 12;
const LIMIT: Duration = Duration::from_secs(90);
const PLAIN: &str = "plain";

/// Prints how fast a chart is delivered, and how much memory that takes.
pub async fn speed(world: &World) -> Result<()> {
    let chart = Chart {
        folder: world::root().join("examples/mc-api/charts/api"),
        workload: "image = \"image\"\n".to_owned(),
        values: "replicaCount: 3\n".to_owned(),
    };
    let options = Options {
        helm: Some(chart),
        ..Options::default()
    };
    let service = Delivered::new(world, "bench-helm", &options).await?;
    let outcome = rounds(world, &service).await;
    service.cleanup().await?;
    outcome
}

async fn rounds(world: &World, service: &Delivered) -> Result<()> {
    let table = Table::new(
        aws_sdk_dynamodb::Client::new(&world.config),
        world.local.sluice()?.table.clone(),
    );
    let old = service.push(&Image::new("bench-helm 0"), &["0000000"]).await?;
    live(&table, service, 1).await?;
    let chart = service.folder().join("chart").display().to_string();
    let values = service.folder().join("values.yaml").display().to_string();
    let chart = (&*chart, &["--values", &*values][..]);
    plain::upgrade(world, service, PLAIN, chart, &old).await?;
    let (mut up, mut back) = (Times::default(), Times::default());
    let (mut plain_up, mut plain_back) = (Times::default(), Times::default());
    for round in 1..=ROUNDS {
        let image = Image::new(&format!("bench-helm {round}"));
        let started = Instant::now();
        let new = service.push(&image, &[&format!("{round:07x}")]).await?;
        live(&table, service, round as u64 + 1).await?;
        up.add(started);

        let started = Instant::now();
        plain::upgrade(world, service, PLAIN, chart, &new).await?;
        plain_up.add(started);

        let started = Instant::now();
        roll_back(world, service).await?;
        live(&table, service, 1).await?;
        back.add(started);

        let started = Instant::now();
        plain::rollback(service, PLAIN).await?;
        plain_back.add(started);
    }
    head(&format!("seconds, {ROUNDS} rounds, a chart with 3 pods"));
    up.show("push -> the release is live, verified and recorded");
    plain_up.show("plain helm upgrade --install --wait");
    back.show("rollback called -> live, verified and recorded");
    plain_back.show("plain helm rollback --wait");
    for (what, ours, plains) in [("promotion", &up, &plain_up), ("rollback", &back, &plain_back)] {
        let allowed = plains.median() + 1.0;
        println!(
            "{what}: {:.3} s, goal 1.0 x plain helm + 1 s = {allowed:.3} s: {}",
            ours.median(),
            met(ours.median() <= allowed)
        );
    }
    memory()
}

/// Waits until a release is live and nobody holds the environment, by what the table says.
async fn live(table: &Table, service: &Delivered, release: u64) -> Result<()> {
    let (name, environment) = (ServiceName::parse(&service.name)?, EnvironmentName::parse("dev")?);
    until(&format!("#{release}"), LIMIT, || async {
        let found = table.environment(&name, &environment).await?;
        let live = found.live.as_ref().and_then(|live| live.release);
        let is_it = live.is_some_and(|live| u64::from(live.0) == release) && found.lease.is_none();
        Ok(if is_it { Ok(()) } else { Err(format!("{live:?}")) })
    })
    .await
}

/// The most memory that the function and the helm that it starts have had.
fn memory() -> Result<()> {
    let function = processes("sluice-run-helm")?;
    let most = function.iter().copied().max();
    ensure!(most.is_some(), "no process of run-helm is there");
    // Of what this process has run, helm is by far the largest.
    let helm = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?;
    println!(
        "memory, at most: run-helm itself {:.0} MB, the helm that it starts {:.0} MB; the template gives them 1024 MB together",
        most.unwrap_or_default() as f64 / 1024.0,
        helm.max_rss() as f64 / 1024.0
    );
    Ok(())
}

/// The peak memory, in KiB, of every process that serves this function (proc(5), `VmHWM`).
fn processes(function: &str) -> Result<Vec<u64>> {
    let mark = format!("AWS_LAMBDA_FUNCTION_NAME={function}\0");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.path();
        let Ok(environment) = std::fs::read(folder.join("environ")) else {
            continue;
        };
        if !environment
            .windows(mark.len())
            .any(|window| window == mark.as_bytes())
        {
            continue;
        }
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        found.extend(peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()));
    }
    Ok(found)
}
