//! Who goes first, who waits, who is told no: several releases and several people at one environment.
#![allow(clippy::indexing_slicing)]

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::outside::{ended, executions, next_second, until_rolling};
use sluice_tests::seen::{PATIENCE, assert_runs, environment, running, until_asked, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;

fn asks() -> Options {
    Options {
        approval: true,
        ..Options::default()
    }
}

fn stuck_in_rolling(service: &Delivered) -> Image {
    Image::new(&format!("{}, never ready", service.name)).label("sluice.sim/never-ready", "true")
}

#[tokio::test]
async fn only_the_newest_waits_behind_the_one_people_are_asked_about() -> Result<()> {
    // Given a release that waits for approval
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-behind", &asks()).await?;
    let name = service.name.as_str();
    let first = service.push(&Image::new("behind 1"), &["1111111"]).await?;
    until_asked(&ana, name, "dev", 1).await?;
    // When two more come
    service.push(&Image::new("behind 2"), &["2222222"]).await?;
    until_state(&ana, name, "dev", 2, "wanted").await?;
    let third = service.push(&Image::new("behind 3"), &["3333333"]).await?;
    // Then the one between makes room, and its execution ends green
    let over = until_state(&ana, name, "dev", 2, "superseded").await?;
    ensure!(
        over["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("#3")),
        "{over}"
    );
    ensure!(
        ended(&world, "promotion", "t-behind-2-dev-1").await? == "SUCCEEDED",
        "superseded is no failure"
    );
    // And approving what is not asked about is refused, with what can be done
    let said = ana.refused(&["approve", name, "dev", "3"], 5).await?;
    ensure!(said.contains("sluice "), "no next command: {said}");
    // When the first is approved, then it goes live, and the newest is asked about
    ana.run(&["approve", name, "dev", "1"]).await?;
    let now = until_asked(&ana, name, "dev", 3).await?;
    ensure!(now.pointer("/live/release") == Some(&json!(1)), "{now}");
    service.assert_runs(&first).await?;
    ana.run(&["approve", name, "dev", "3"]).await?;
    until_live(&ana, name, "dev", 3).await?;
    service.assert_runs(&third).await?;
    service.cleanup().await
}

#[tokio::test]
async fn promotions_that_race_leave_the_newest_and_disturb_nobody() -> Result<()> {
    // Given a service
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-race", &Options::default()).await?;
    let name = service.name.as_str();
    // When five images are pushed at once
    let images: Vec<_> = (1..=5)
        .map(|n| (Image::new(&format!("race {n}")), format!("{n:07x}")))
        .collect();
    let tags: Vec<_> = images.iter().map(|(_, tag)| [tag.as_str()]).collect();
    let pushed = try_join_all(
        images
            .iter()
            .zip(&tags)
            .map(|((image, _), tag)| service.push(image, tag)),
    )
    .await?;
    // Then every promotion is verified or made room, and the newest release is live
    let history = until("the end of the race", PATIENCE, || async {
        let all = ana.json(&["history", name]).await?["releases"].clone();
        let tries = all
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|one| one["promotions"].as_array())
            .flatten();
        let over = tries
            .into_iter()
            .all(|one| one["state"] == "verified" || one["state"] == "superseded");
        let there = all.as_array().is_some_and(|all| all.len() == pushed.len());
        let idle = environment(&ana, name, "dev").await?;
        let idle = idle["activity"].is_null() && idle["waiting"].as_array().is_some_and(Vec::is_empty);
        Ok(if over && there && idle {
            Ok(all)
        } else {
            Err(all.to_string())
        })
    })
    .await?;
    let releases = history.as_array().cloned().unwrap_or_default();
    let newest = releases
        .iter()
        .max_by_key(|one| (one["pushed_at"].to_string(), one["number"].as_u64()));
    let newest = newest.cloned().unwrap_or_default();
    let live = environment(&ana, name, "dev").await?;
    ensure!(
        live.pointer("/live/release") == Some(&newest["number"]),
        "{newest} is not live: {live}"
    );
    let winner = pushed.iter().find(|one| newest["digest"] == one.digest.as_str());
    let winner = winner.with_context(|| format!("nobody pushed {newest}"))?;
    service.assert_runs(winner).await?;
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_hold_stops_what_is_automatic_and_nobody_who_asks() -> Result<()> {
    // Given an environment that is held
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-held", &Options::default()).await?;
    let name = service.name.as_str();
    service.deliver(&ana, 1).await?;
    ana.run(&["hold", name, "dev", "--reason", "sale"]).await?;
    // When a release is pushed, then it waits and says why; a newer one takes its place
    service.push(&Image::new("held 2"), &["2222222"]).await?;
    until("#2 to say why it waits", PATIENCE, || async {
        let found = environment(&ana, name, "dev").await?;
        let says = found
            .pointer("/waiting/0/reason")
            .is_some_and(|reason| reason.to_string().contains("sale"));
        Ok(if says { Ok(()) } else { Err(found.to_string()) })
    })
    .await?;
    let third = service.push(&Image::new("held 3"), &["3333333"]).await?;
    until_state(&ana, name, "dev", 2, "superseded").await?;
    // When the hold is lifted, then the one that waits goes
    ana.run(&["unhold", name, "dev"]).await?;
    until_live(&ana, name, "dev", 3).await?;
    service.assert_runs(&third).await?;
    // And a person's wish goes through while it is held
    ana.run(&["hold", name, "dev", "--reason", "sale again"]).await?;
    ana.run(&["promote", name, "dev", "2"]).await?;
    let now = until_live(&ana, name, "dev", 2).await?;
    ensure!(
        now["hold"]["reason"].to_string().contains("sale again"),
        "the hold is gone: {now}"
    );
    service.cleanup().await
}

#[tokio::test]
async fn a_rollback_holds_until_something_newer_is_pushed() -> Result<()> {
    // Given two releases, the second of which is rolled back
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-fix", &Options::default()).await?;
    let name = service.name.as_str();
    let first = service.deliver(&ana, 1).await?;
    service.deliver(&ana, 2).await?;
    ana.run(&["rollback", name, "dev", "--reason", "slow"]).await?;
    let back = until_live(&ana, name, "dev", 1).await?;
    ensure!(!back["hold"].is_null(), "nothing is held: {back}");
    service.assert_runs(&first).await?;
    // When it is called again, then it goes no further back
    let again = ana.json(&["rollback", name, "dev"]).await?;
    ensure!(again["outcome"] == "already", "{again}");
    // When a fix is pushed, then it goes live and nothing is held
    next_second().await?;
    let fix = service.deliver(&ana, 3).await?;
    service.assert_runs(&fix).await?;
    let now = environment(&ana, name, "dev").await?;
    ensure!(now["hold"].is_null(), "{now}");
    // And the next rollback passes over what was rolled back
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    service.assert_runs(&first).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_quarantined_release_goes_nowhere() -> Result<()> {
    // Given three releases, of which the second is quarantined
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-shut", &Options::default()).await?;
    let name = service.name.as_str();
    let first = service.deliver(&ana, 1).await?;
    let second = service.deliver(&ana, 2).await?;
    service.deliver(&ana, 3).await?;
    ana.run(&["quarantine", name, "2", "--reason", "CVE-2026-1"])
        .await?;
    // When somebody promotes it or rolls back to it, then they are told why not, and what to type
    for command in [
        vec!["promote", name, "dev", "2"],
        vec!["rollback", name, "dev", "--to", "2"],
    ] {
        let said = ana.refused(&command, 5).await?;
        ensure!(
            said.contains("CVE-2026-1") && said.contains("sluice "),
            "{command:?}: {said}"
        );
    }
    // And a rollback passes over it
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    service.assert_runs(&first).await?;
    // When it is allowed again, then it can be promoted
    ana.run(&["unquarantine", name, "2"]).await?;
    ana.run(&["promote", name, "dev", "2"]).await?;
    until_live(&ana, name, "dev", 2).await?;
    service.assert_runs(&second).await?;
    service.cleanup().await
}

#[tokio::test]
async fn an_abort_before_the_first_write_writes_nothing_and_one_after_it_restores() -> Result<()> {
    // Given a release that waits for approval
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(
        &world,
        "t-abort",
        &Options {
            timeout: "10m".into(),
            ..asks()
        },
    )
    .await?;
    let name = service.name.as_str();
    service.push(&Image::new("abort 1"), &["1111111"]).await?;
    until_asked(&ana, name, "dev", 1).await?;
    // When it is aborted, then nothing is in the cluster, and its execution is over
    ana.run(&["abort", name, "dev", "--reason", "wrong day"]).await?;
    let over = until_state(&ana, name, "dev", 1, "aborted").await?;
    ensure!(over.to_string().contains("wrong day"), "{over}");
    ended(&world, "promotion", "t-abort-1-dev-1").await?;
    let place = service.place("dev")?;
    let pods = running(&world, &place.cluster, &place.namespace, "app=t-abort").await?;
    ensure!(pods.pods == 0, "{pods:?}");
    // Given another that is live, and one whose pods never get ready
    let second = service.push(&Image::new("abort 2"), &["2222222"]).await?;
    until_asked(&ana, name, "dev", 2).await?;
    ana.run(&["approve", name, "dev", "2"]).await?;
    until_live(&ana, name, "dev", 2).await?;
    service.push(&stuck_in_rolling(&service), &["3333333"]).await?;
    until_asked(&ana, name, "dev", 3).await?;
    ana.run(&["approve", name, "dev", "3"]).await?;
    until_rolling(&ana, name, "dev", 3).await?;
    // When it is aborted, then what was live is back, and nothing is held
    ana.run(&["abort", name, "dev", "3"]).await?;
    let back = until_live(&ana, name, "dev", 2).await?;
    ensure!(back["hold"].is_null(), "an abort blames no release: {back}");
    service.assert_runs(&second).await?;
    let over = until_state(&ana, name, "dev", 3, "aborted").await?;
    ensure!(over["reason"].to_string().contains("ana"), "{over}");
    ended(&world, "promotion", "t-abort-3-dev-1").await?;
    // And a second abort is told that it is over
    ana.run(&["abort", name, "dev", "3"]).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_release_keeps_its_pipeline_and_only_approvers_change_who_decides() -> Result<()> {
    // Given a release that waits for approval
    let world = World::load().await?;
    let (ana, carl) = (world.person("ana").await?, world.person("carl").await?);
    let service = Delivered::new(&world, "t-version", &asks()).await?;
    let name = service.name.as_str();
    let first = service.push(&Image::new("version 1"), &["1111111"]).await?;
    until_asked(&ana, name, "dev", 1).await?;
    // When somebody who is no approver takes the approval away, then that is denied
    let Err(denied) = service.apply(&carl, &Options::default()).await else {
        anyhow::bail!("carl took the approval away")
    };
    let denied = denied.to_string();
    ensure!(
        denied.contains("ended with 4:") && denied.contains("ana"),
        "it does not say who may: {denied}"
    );
    // When an approver does, with other manifests, then the release still waits, by its own version
    service
        .apply(
            &ana,
            &Options {
                config: "two".into(),
                replicas: 3,
                ..Options::default()
            },
        )
        .await?;
    until_asked(&ana, name, "dev", 1).await?;
    ana.run(&["approve", name, "dev", "1"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    let place = service.place("dev")?;
    let old = assert_runs(&world, &place.cluster, &place.namespace, name, &first.digest).await?;
    ensure!(
        old.pods == 2 && old.config.iter().all(|config| config.contains("one")),
        "{old:?}"
    );
    // And the next release goes by the new one
    let second = service.deliver(&ana, 2).await?;
    let new = assert_runs(&world, &place.cluster, &place.namespace, name, &second.digest).await?;
    ensure!(
        new.pods == 3 && new.config.iter().all(|config| config.contains("two")),
        "{new:?}"
    );
    service.cleanup().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_for_the_same_release_at_once_one_is_heard() -> Result<()> {
    // Given a release that was rolled back
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-at-once", &Options::default()).await?;
    let name = service.name.as_str();
    service.deliver(&ana, 1).await?;
    let second = service.deliver(&ana, 2).await?;
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    // When six ask for it at once
    let command = ["promote", name, "dev", "2"];
    let said = try_join_all((0..6).map(|_| ana.sluice(&command))).await?;
    // Then one is heard, the others are told that it is on its way, and there is one promotion
    let heard = said.iter().filter(|said| said.status == 0).count();
    ensure!(heard == 1, "{heard} were heard: {said:?}");
    let told = said
        .iter()
        .filter(|said| said.status == 5 && said.err.contains("already"));
    ensure!(told.count() == 5, "{said:?}");
    until_live(&ana, name, "dev", 2).await?;
    service.assert_runs(&second).await?;
    let promotions = executions(&world, "promotion", &format!("{name}-2-dev-")).await?;
    ensure!(
        promotions.len() == 2,
        "the first one and one more: {promotions:?}"
    );
    service.cleanup().await
}
