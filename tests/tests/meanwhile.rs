//! One thing happens while another is under way: rollbacks among promotions, two people at one question.
#![allow(clippy::indexing_slicing)]

use anyhow::{Result, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use sluice_local::image::Image;
use sluice_tests::outside::{ended, ledger, next_second, stop, sweep, until_rolling};
use sluice_tests::seen::{PATIENCE, assert_runs, environment, running, until_asked, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};

fn asks() -> Options {
    Options {
        approval: true,
        ..Options::default()
    }
}

/// Pushes a release, and approves it where it asks.
async fn approved(ana: &Person, service: &Delivered, number: u64) -> Result<()> {
    let image = Image::new(&format!("{} {number}", service.name));
    service.push(&image, &[&format!("{number:07x}")]).await?;
    until_asked(ana, &service.name, "dev", number).await?;
    ana.run(&["approve", &service.name, "dev", &number.to_string()])
        .await?;
    until_live(ana, &service.name, "dev", number).await.map(drop)
}

#[tokio::test]
async fn what_waits_for_approval_is_held_by_a_rollback_and_asked_about_anew() -> Result<()> {
    // Given two releases that were live, and a third that people are asked about
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-anew", &asks()).await?;
    let name = service.name.as_str();
    approved(&ana, &service, 1).await?;
    approved(&ana, &service, 2).await?;
    let third = service.push(&Image::new("anew 3"), &["3333333"]).await?;
    let asked = until_asked(&ana, name, "dev", 3).await?["waiting"][0]["expires_at"].clone();
    // When the environment is rolled back
    ana.run(&["rollback", name, "dev", "--reason", "slow"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    // Then a yes to what was asked before does not bring the third in
    let said = ana.sluice(&["approve", name, "dev", "3"]).await?;
    ensure!(
        said.status == 0 || said.err.contains("sluice "),
        "no next command: {said:?}"
    );
    sweep(&world, name).await?;
    let held = until("the hold to be said", PATIENCE, || async {
        let found = environment(&ana, name, "dev").await?;
        let says = found["waiting"][0]["reason"].to_string().contains("rolled back");
        Ok(if says && found["activity"].is_null() {
            Ok(found)
        } else {
            Err(found.to_string())
        })
    })
    .await?;
    ensure!(
        held["live"]["release"] == 1 && held["waiting"][0]["release"] == 3,
        "{held}"
    );
    // When the hold is lifted, then people are asked what they would replace now, and it goes through
    ana.run(&["unhold", name, "dev"]).await?;
    until("another question", PATIENCE, || async {
        let found = environment(&ana, name, "dev").await?;
        let first = &found["waiting"][0];
        let anew = first["state"] == "awaiting_approval" && first["expires_at"] != asked;
        Ok(if anew { Ok(()) } else { Err(found.to_string()) })
    })
    .await?;
    ana.run(&["approve", name, "dev", "3"]).await?;
    until_live(&ana, name, "dev", 3).await?;
    let place = service.place("dev")?;
    assert_runs(&world, &place.cluster, &place.namespace, name, &third.digest).await?;
    service.cleanup().await
}

#[tokio::test]
async fn two_people_at_one_question_are_one_answer() -> Result<()> {
    // Given a release that people are asked about
    let world = World::load().await?;
    let (ana, ben) = (world.person("ana").await?, world.person("ben").await?);
    let service = Delivered::new(&world, "t-both", &asks()).await?;
    let name = service.name.as_str();
    service.push(&Image::new("both 1"), &["1111111"]).await?;
    until_asked(&ana, name, "dev", 1).await?;
    // When one says yes and the other no, at once
    let (yes, no) = (["approve", name, "dev", "1"], ["reject", name, "dev", "1"]);
    let said = join_all([ana.sluice(&yes), ben.sluice(&no)]).await;
    // Then one of them is carried out, or the no comes after the yes and before the first write; never half of each
    let state = until("the end of it", PATIENCE, || async {
        let found = sluice_tests::seen::promotion(&ana, name, "dev", 1)
            .await?
            .unwrap_or_default();
        let over = found["state"] == "verified" || found["state"] == "rejected";
        Ok(if over {
            Ok(found["state"].clone())
        } else {
            Err(found.to_string())
        })
    })
    .await?;
    let statuses = said
        .into_iter()
        .map(|said| said.map(|said| said.status))
        .collect::<Result<Vec<_>>>()?;
    ensure!(
        statuses.iter().all(|status| [0, 5].contains(status)) && statuses.contains(&0),
        "{statuses:?}"
    );
    let place = service.place("dev")?;
    let pods = running(&world, &place.cluster, &place.namespace, "app=t-both")
        .await?
        .pods;
    ensure!(
        (state == "verified") == (pods == 2) && (state == "rejected") == (pods == 0),
        "{state}, {pods} pods"
    );
    ensure!(
        state == "verified" || statuses[1] == 0,
        "rejected, but Ben was told {statuses:?}"
    );
    let idle = environment(&ana, name, "dev").await?;
    ensure!(idle["waiting"].as_array().is_some_and(Vec::is_empty), "{idle}");
    service.cleanup().await
}

#[tokio::test]
async fn the_first_release_of_all_is_undone_to_nothing() -> Result<()> {
    for (name, command) in [("t-first-a", "abort"), ("t-first-r", "rollback")] {
        // Given a first release whose pods never get ready
        let world = World::load().await?;
        let ana = world.person("ana").await?;
        let options = Options {
            timeout: "10m".into(),
            ..Options::default()
        };
        let service = Delivered::new(&world, name, &options).await?;
        let never = Image::new("first").label("sluice.sim/never-ready", "true");
        service.push(&never, &["1111111"]).await?;
        until_rolling(&ana, name, "dev", 1).await?;
        // When it is stopped
        ana.run(&[command, name, "dev"]).await?;
        // Then nothing runs and nothing is under way
        until("nothing to be under way", PATIENCE, || async {
            let found = environment(&ana, name, "dev").await?;
            let idle = found["activity"].is_null() && found["waiting"].as_array().is_some_and(Vec::is_empty);
            Ok(if idle { Ok(()) } else { Err(found.to_string()) })
        })
        .await?;
        let place = service.place("dev")?;
        let left = running(&world, &place.cluster, &place.namespace, &format!("app={name}")).await?;
        ensure!(left.pods == 0, "{command}: {left:?}");
        let state = if command == "abort" {
            "aborted"
        } else {
            "preempted"
        };
        until_state(&ana, name, "dev", 1, state).await?;
        // And the next one comes through, with all of its pods
        next_second().await?;
        let good = service.push(&Image::new("second"), &["2222222"]).await?;
        until_live(&ana, name, "dev", 2).await?;
        let back = assert_runs(&world, &place.cluster, &place.namespace, name, &good.digest).await?;
        ensure!(back.pods == 2, "{command}: {back:?}");
        service.cleanup().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_rollback_whose_execution_is_stopped_is_seen_through_by_another() -> Result<()> {
    // Given two releases, the first of which takes its time to get ready
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-again", &Options::default()).await?;
    let name = service.name.as_str();
    let slow = Image::new("again 1").label("sluice.sim/ready-after", "8s");
    let first = service.push(&slow, &["1111111"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    service.push(&Image::new("again 2"), &["2222222"]).await?;
    until_live(&ana, name, "dev", 2).await?;
    // When it is rolled back, and somebody stops that execution
    let answer = ana.json(&["rollback", name, "dev", "--reason", "slow"]).await?;
    let execution = answer["execution"].as_str().unwrap_or_default().to_owned();
    stop(&world, "rollback", &execution).await?;
    ensure!(
        ended(&world, "rollback", &execution).await? == "ABORTED",
        "it was over already"
    );
    sweep(&world, name).await?;
    // Then another one brings the first release back, and the ledger says so
    let back = until_live(&ana, name, "dev", 1).await?;
    ensure!(
        back["hold"]["reason"].to_string().contains("#2"),
        "what was left is forgotten: {back}"
    );
    let place = service.place("dev")?;
    assert_runs(&world, &place.cluster, &place.namespace, name, &first.digest).await?;
    let ledger = ledger(&ana, name, "dev").await?;
    let executions: Vec<&Value> = ledger
        .iter()
        .filter(|entry| entry["event"] == "rollback_started")
        .map(|entry| &entry["execution"])
        .collect();
    ensure!(
        executions.len() == 2 && executions[0] == &json!(execution),
        "{ledger:?}"
    );
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
}
