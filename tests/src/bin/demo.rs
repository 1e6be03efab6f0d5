//! `make demo`: a pushed image reaches production, a broken one does not, and one call takes production back.

use anyhow::{Result, ensure};
use sluice_local::image::{Image, Pushed};
use sluice_tests::report::Report;
use sluice_tests::seen::{assert_runs, environment, promotion, until_asked, until_live, until_state};
use sluice_tests::world::root;
use sluice_tests::{Person, World};
use std::process::ExitCode;

const SERVICE: &str = "mc-api";
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
    let say = "an image that cannot start is stopped in dev";
    report
        .step("broken-image", say, stopped(world, &ana, &broken))
        .await;
    let say = "one call puts the first release back into production";
    report.step("rollback", say, rollback(world, &ana)).await;
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
    println!("   $ sluice apply pipelines/mc-api.toml");
    let applied = ana.run(&["apply", "pipelines/mc-api.toml"]).await?;
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
        assert_runs(world, cluster, name, SERVICE, &pushed.digest).await?;
    }
    Ok(format!(
        "every pod of dev, staging and production runs {}, the digest of the bytes pushed",
        short(&pushed)
    ))
}

fn short(pushed: &Pushed) -> String {
    pushed.digest.chars().take(19).collect()
}

/// Pushes an image that cannot start.
async fn stopped(world: &World, ana: &Person, image: &Image) -> Result<String> {
    println!("   $ docker push .../{SERVICE}:3333333ccc");
    world.push(SERVICE, image, &["3333333ccc", "latest"]).await?;
    let failed = until_state(ana, SERVICE, "dev", 3, "failed").await?;
    let reason = failed
        .get("reason")
        .and_then(|reason| reason.as_str())
        .unwrap_or_default()
        .to_owned();
    ensure!(
        reason.contains("pod ") && reason.contains("CrashLoopBackOff"),
        "the reason names no pod: {reason}"
    );
    until_live(ana, SERVICE, "dev", 2).await?;
    for name in ["staging", "production"] {
        ensure!(
            promotion(ana, SERVICE, name, 3).await?.is_none(),
            "#3 was wanted in {name}"
        );
        let live = environment(ana, SERVICE, name).await?;
        ensure!(
            live.pointer("/live/release").and_then(serde_json::Value::as_u64) == Some(2),
            "{name}: {live}"
        );
    }
    Ok(format!(
        "dev is back on #2; staging and production never saw #3: {reason}"
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
    assert_runs(world, "mc-prod-eks", "production", SERVICE, digest).await?;
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
    assert_runs(world, "mc-prod-eks", "production", SERVICE, &digest).await?;
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
    Ok("three ledgers verified; the changed export is refused".to_owned())
}

fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("   | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
