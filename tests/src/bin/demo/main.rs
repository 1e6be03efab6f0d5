//! `make demo`: a pushed image reaches production, a broken one does not, and one call takes production back; then a second
//! service, whose traffic moves step by step.

mod tracks;

use anyhow::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use sluice_local::image::{Image, Pushed};
use sluice_tests::report::Report;
use sluice_tests::seen::{
    assert_labelled, environment, promotion, running, until_asked, until_live, until_state,
};
use sluice_tests::world::Said;
use sluice_tests::world::root;
use sluice_tests::{Person, World};
use std::process::ExitCode;

const SERVICE: &str = "mc-api";
const PIPELINE: &str = "examples/mc-api/pipelines/helm.toml";
/// The pods that serve: those of Jobs have none of the chart's labels.
const PODS: &str = "app.kubernetes.io/instance=mc-api";
const PLACES: [(&str, &str); 3] = [
    ("dev", "mc-staging-eks"),
    ("staging", "mc-staging-eks"),
    ("production", "mc-prod-eks"),
];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let world = World::load().await?;
    let report = show(&world).await?;
    let path = root().join("target/demo/report.json");
    report.write(&path)?;
    let outcome = if report.ok {
        "everything was as it should be"
    } else {
        "something was not as it should be"
    };
    println!("\n{outcome}; see {}", path.display());
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn show(world: &World) -> Result<Report> {
    let (ana, ben) = (world.person("ana").await?, world.person("ben").await?);
    let mut report = Report::default();
    let first = Image::new("mc-api, the first");
    let second = Image::new("mc-api, the second");
    let broken =
        Image::new("mc-api, broken").label("sluice.sim/crash-at-start", "cannot open the settings file");
    report
        .step("up", "the pipeline is published to an empty account", up(&ana))
        .await;
    let say = "an image is pushed; dev, staging, then Ana approves production";
    report
        .step(
            "first-release",
            say,
            release(world, &ana, 1, &first, "1111111aaa"),
        )
        .await;
    let say = "the next one goes the same way; Ben approves it";
    report
        .step(
            "second-release",
            say,
            release(world, &ben, 2, &second, "2222222bbb"),
        )
        .await;
    let say = "what helm itself says of it, in both clusters";
    report.step("helm", say, helm(world)).await;
    let say = "an image whose integration tests fail is taken back out of staging";
    report
        .step("before-and-verify", say, unverified(world, &ana))
        .await;
    let say = "an image that cannot start is stopped in dev";
    report
        .step("broken-image", say, stopped(world, &ana, &broken))
        .await;
    let say = "one call puts the first release back into production";
    report.step("rollback", say, rollback(world, &ana)).await;
    tracks::show(world, &mut report).await?;
    report
        .step(
            "audit",
            "the ledgers are whole, and a changed one is found out",
            audit(&ana),
        )
        .await;
    Ok(report)
}

async fn up(ana: &Person) -> Result<String> {
    println!("   $ sluice apply {PIPELINE}");
    let applied = ana.run(&["apply", PIPELINE]).await?;
    println!("{}", indented(&applied));
    Ok("Sluice runs, and knows mc-api's way through dev, staging and production".to_owned())
}

/// Pushes an image and follows it into production.
async fn release(world: &World, approver: &Person, number: u64, image: &Image, tag: &str) -> Result<String> {
    println!("   $ docker push .../{SERVICE}:{tag} (and :latest)");
    let pushed = world.push(SERVICE, image, &[tag, "latest"]).await?;
    for name in ["dev", "staging"] {
        until_live(approver, SERVICE, name, number).await?;
        println!("   {name} runs #{number}");
    }
    until_asked(approver, SERVICE, "production", number).await?;
    println!("   production waits for a person\n   $ sluice approve {SERVICE} production {number}");
    approver
        .run(&["approve", SERVICE, "production", &number.to_string()])
        .await?;
    until_live(approver, SERVICE, "production", number).await?;
    for (name, cluster) in PLACES {
        assert_labelled(world, cluster, name, PODS, &pushed.digest).await?;
    }
    Ok(format!(
        "every pod of dev, staging and production runs {}, the digest of the bytes pushed",
        short(&pushed)
    ))
}

pub(crate) fn short(pushed: &Pushed) -> String {
    pushed.digest.chars().take(19).collect()
}

/// Reads with the real helm what the real helm left, and how many pods there are of it.
async fn helm(world: &World) -> Result<String> {
    let mut pods = Vec::new();
    for (name, cluster) in PLACES {
        let cluster = world.local.cluster(cluster)?;
        println!("   $ helm history {SERVICE} --namespace {name}");
        let output = tokio::process::Command::new(&world.local.helm)
            .args(["history", SERVICE, "--namespace", name])
            .env("KUBECONFIG", &cluster.kubeconfig)
            .kill_on_drop(true)
            .output()
            .await?;
        let said = Said::of(&output).well()?;
        println!("{}", indented(&said));
        let deployed = said.lines().filter(|line| line.contains("deployed"));
        let named: Vec<&str> = deployed.filter(|line| line.contains("mc-api#2 by")).collect();
        ensure!(
            named.len() == 1,
            "{name}: not one revision is deployed and of #2: {said}"
        );
        let found = running(world, &cluster.name, name, PODS).await?;
        pods.push((name, found.pods));
    }
    let wanted = [("dev", 1), ("staging", 1), ("production", 5)];
    ensure!(pods == wanted, "pods are {pods:?}, not {wanted:?}");
    Ok(
        "one revision is deployed in each, and names its release; staging has a fifth of production's 5 pods"
            .to_owned(),
    )
}

/// Pushes an image that serves well, and whose integration tests fail.
async fn unverified(world: &World, ana: &Person) -> Result<String> {
    let image = Image::new("mc-api, with a wrong sum")
        .label("sluice.sim/integration/exit-code", "1")
        .label(
            "sluice.sim/log",
            "GET /prices: 40 of 41 pass; the sum is 12, not 11",
        );
    println!("   $ docker push .../{SERVICE}:3333333ccc");
    world.push(SERVICE, &image, &["3333333ccc", "latest"]).await?;
    let failed = until_state(ana, SERVICE, "staging", 3, "failed").await?;
    let reason = failed
        .get("reason")
        .and_then(|reason| reason.as_str())
        .unwrap_or_default();
    ensure!(
        reason.contains("verify integration"),
        "the reason names no check: {reason}"
    );
    let staging = until_live(ana, SERVICE, "staging", 2).await?;
    let digest = staging
        .pointer("/live/digest")
        .and_then(|digest| digest.as_str())
        .unwrap_or_default();
    assert_labelled(world, "mc-staging-eks", "staging", PODS, digest).await?;
    until_live(ana, SERVICE, "dev", 3).await?;
    ensure!(
        promotion(ana, SERVICE, "production", 3).await?.is_none(),
        "#3 was wanted in production"
    );
    for job in ["migrate", "integration"] {
        let label = "app.kubernetes.io/managed-by=sluice";
        let client = world.local.cluster("mc-staging-eks")?.admin().await?;
        let jobs: Api<Job> = Api::namespaced(client, "staging");
        let found = jobs.list(&ListParams::default().labels(label)).await?;
        let of_it = found.iter().filter(|one| one.name_any().contains(job)).count();
        ensure!(
            of_it == 3,
            "{of_it} Jobs {job} ran in staging, not one for each release"
        );
    }
    Ok(format!("staging is back on #2, and #3 goes no further: {reason}"))
}

/// Pushes an image that cannot start.
async fn stopped(world: &World, ana: &Person, image: &Image) -> Result<String> {
    println!("   $ docker push .../{SERVICE}:4444444ddd");
    world.push(SERVICE, image, &["4444444ddd", "latest"]).await?;
    let failed = until_state(ana, SERVICE, "dev", 4, "failed").await?;
    let reason = failed
        .get("reason")
        .and_then(|reason| reason.as_str())
        .unwrap_or_default()
        .to_owned();
    ensure!(
        reason.contains("pod ") && reason.contains("CrashLoopBackOff"),
        "the reason names no pod: {reason}"
    );
    until_live(ana, SERVICE, "dev", 3).await?;
    for name in ["staging", "production"] {
        ensure!(
            promotion(ana, SERVICE, name, 4).await?.is_none(),
            "#4 was wanted in {name}"
        );
        let live = environment(ana, SERVICE, name).await?;
        ensure!(
            live.pointer("/live/release").and_then(serde_json::Value::as_u64) == Some(2),
            "{name}: {live}"
        );
    }
    Ok(format!(
        "dev is back on #3; staging and production never saw #4: {reason}"
    ))
}

async fn rollback(world: &World, ana: &Person) -> Result<String> {
    println!("   $ sluice rollback {SERVICE} production --reason 'checkout is slow'");
    let before = assert_live_digest(world, ana).await?;
    println!(
        "{}",
        indented(
            &ana.run(&["rollback", SERVICE, "production", "--reason", "checkout is slow"])
                .await?
        )
    );
    let back = until_live(ana, SERVICE, "production", 1).await?;
    let digest = back
        .pointer("/live/digest")
        .and_then(|digest| digest.as_str())
        .unwrap_or_default();
    ensure!(digest != before, "the same digest as before");
    assert_labelled(world, "mc-prod-eks", "production", PODS, digest).await?;
    ensure!(
        back.get("hold").is_some_and(|hold| !hold.is_null()),
        "automatic promotion is not on hold: {back}"
    );
    Ok("every pod of production runs #1 again; automatic promotion is on hold until a newer push".to_owned())
}

async fn assert_live_digest(world: &World, ana: &Person) -> Result<String> {
    let live = environment(ana, SERVICE, "production").await?;
    let digest = live
        .pointer("/live/digest")
        .and_then(|digest| digest.as_str())
        .unwrap_or_default()
        .to_owned();
    assert_labelled(world, "mc-prod-eks", "production", PODS, &digest).await?;
    Ok(digest)
}

async fn audit(ana: &Person) -> Result<String> {
    for (name, _) in PLACES {
        println!("   $ sluice ledger verify {SERVICE} {name}");
        println!(
            "{}",
            indented(&ana.run(&["ledger", "verify", SERVICE, name]).await?)
        );
    }
    ana.run(&["ledger", "verify", "checkout", "production"]).await?;
    let folder = root().join("target/demo");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("ledger.jsonl").display().to_string();
    ana.run(&["ledger", "export", SERVICE, "production", "--file", &file])
        .await?;
    ana.run(&["ledger", "verify", "--file", &file]).await?;
    let text = std::fs::read_to_string(&file)?;
    let tampered = text.replacen("\"by\":\"ana\"", "\"by\":\"ben\"", 1);
    ensure!(tampered != text, "the ledger does not say what ana did: {text}");
    std::fs::write(&file, tampered)?;
    println!("   somebody writes Ben's name over Ana's in the export");
    let said = ana.refused(&["ledger", "verify", "--file", &file], 8).await?;
    println!("{}", indented(&said));
    Ok("four ledgers verified; the changed export is refused".to_owned())
}

pub(crate) fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("   | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
