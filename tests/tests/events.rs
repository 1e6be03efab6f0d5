//! Events that come twice, late, out of order or never; executions that somebody stops.
#![allow(clippy::indexing_slicing)]

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use sluice_local::faults::{Action, Rule};
use sluice_local::image::{Image, Pusher};
use sluice_tests::World;
use sluice_tests::outside::{ended, executions, invoke, next_second, releases, stop, sweep, until_fired};
use sluice_tests::seen::{
    assert_runs, promotion, running, until_asked, until_live, until_state, until_written,
};
use sluice_tests::service::{Delivered, Options};

/// The event that ECR sends, as its user guide shows it.
fn event(repository: &str, digest: &str, action: &str, tag: &str) -> Value {
    json!({
        "version": "0", "id": "13cde686-328b-6117-af20-0e5566167482", "detail-type": "ECR Image Action",
        "source": "aws.ecr", "account": "000000000000", "region": "us-east-1", "resources": [],
        "detail": {
            "result": "SUCCESS", "repository-name": repository, "image-digest": digest, "action-type": action,
            "image-tag": tag,
        },
    })
}

fn refused_by(operation: Rule) -> Rule {
    let body = r#"{"__type":"com.amazonaws#AccessDeniedException","message":"a fault of the test"}"#;
    operation.times(0).then(Action::Error {
        status: 400,
        body: body.to_owned(),
    })
}

#[tokio::test]
async fn one_digest_is_one_release_however_many_events_come() -> Result<()> {
    // Given an index that was pushed under two tags
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-events", &Options::default()).await?;
    let name = service.name.as_str();
    let children = [
        Image::new("events amd64"),
        Image::new("events arm64").architecture("arm64"),
    ];
    let index = Pusher::new(&world.local, name)
        .push_index(&children, &["1111111", "latest"])
        .await?;
    // When its event comes twenty times, several at once, among its children's, deletions and noise
    let mut events = Vec::new();
    for turn in 0..5 {
        events
            .extend(["latest", "1111111", "", "1111111"].map(|tag| event(name, &index.digest, "PUSH", tag)));
        events.extend(index.children.iter().map(|child| event(name, child, "PUSH", "")));
        events.push(event(name, &index.digest, "DELETE", "latest"));
        events.push(event(name, &format!("sha256:{turn:064}"), "PUSH", "1111111"));
        events.push(json!({"source": "aws.ecr", "detail-type": "ECR Image Action", "detail": turn}));
    }
    for some in events.chunks(6) {
        try_join_all(some.iter().map(|event| invoke(&world, "receive-push", event))).await?;
    }
    until_live(&ana, name, "dev", 1).await?;
    // And once more when all is done
    for late in [
        event(name, &index.digest, "PUSH", "latest"),
        event(name, &index.children[0], "PUSH", ""),
    ] {
        invoke(&world, "receive-push", &late).await?;
    }
    // Then there is one release, which one execution brought in
    let all = releases(&ana, name).await?;
    ensure!(
        all.len() == 1 && all[0]["digest"] == index.digest.as_str(),
        "{all:?}"
    );
    let started = executions(&world, "promotion", &format!("{name}-")).await?;
    ensure!(
        started.len() == 1 && started[0].0 == "t-events-1-dev-1",
        "{started:?}"
    );
    ensure!(
        ended(&world, "promotion", "t-events-1-dev-1").await? == "SUCCEEDED",
        "it did not end well"
    );
    let place = service.place("dev")?;
    assert_runs(&world, &place.cluster, &place.namespace, name, &index.digest).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_push_whose_event_is_lost_is_found_by_the_sweep() -> Result<()> {
    // Given a service whose events come to nothing
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-lost", &Options::default()).await?;
    let lost = Rule::aws("dynamodb", "Query")
        .function("receive-push")
        .body("REPOSITORY#t-lost");
    world.local.faults().add(refused_by(lost)).await?;
    // When an image is pushed, and the sweep comes
    let pushed = service
        .push(&Image::new("lost 1"), &["1111111", "latest"])
        .await?;
    until_fired(&world, "receive-push", "dynamodb").await?;
    sweep(&world, &service.name).await?;
    // Then it is the same release as if the event had come, and a second sweep finds nothing
    until_live(&ana, &service.name, "dev", 1).await?;
    service.assert_runs(&pushed).await?;
    sweep(&world, &service.name).await?;
    let all = releases(&ana, &service.name).await?;
    ensure!(
        all.len() == 1 && all[0]["digest"] == pushed.digest.as_str(),
        "{all:?}"
    );
    let started = executions(&world, "promotion", "t-lost-").await?;
    ensure!(started.len() == 1, "{started:?}");
    service.cleanup().await
}

#[tokio::test]
async fn an_older_image_that_is_found_late_is_recorded_and_goes_nowhere() -> Result<()> {
    // Given an image whose event is lost, and a newer one whose event comes
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-late", &Options::default()).await?;
    let older = service.push(&Image::new("late older"), &[]).await?;
    let lost = Rule {
        operation: None,
        ..Rule::aws("ecr", "")
    };
    world
        .local
        .faults()
        .add(refused_by(lost.function("receive-push").body(&older.digest)))
        .await?;
    Pusher::new(&world.local, &service.name)
        .tag(&older, &["aaaaaaa"])
        .await?;
    until_fired(&world, "receive-push", "ecr").await?;
    next_second().await?;
    let newer = service.push(&Image::new("late newer"), &["bbbbbbb"]).await?;
    until_state(&ana, &service.name, "dev", 1, "verified").await?;
    // When the sweep finds the older one
    sweep(&world, &service.name).await?;
    // Then it is a release that a person may promote, and the newer one stays
    let all = releases(&ana, &service.name).await?;
    ensure!(
        all.len() == 2 && all[0]["digest"] == older.digest.as_str(),
        "{all:?}"
    );
    ensure!(
        promotion(&ana, &service.name, "dev", 2).await?.is_none(),
        "{all:?}"
    );
    until_live(&ana, &service.name, "dev", 1).await?;
    service.assert_runs(&newer).await?;
    ana.run(&["promote", &service.name, "dev", "2"]).await?;
    until_live(&ana, &service.name, "dev", 2).await?;
    service.assert_runs(&older).await?;
    service.cleanup().await
}

#[tokio::test]
async fn images_of_before_the_first_apply_are_no_releases() -> Result<()> {
    // Given a repository with an image, when a service is delivered from it
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::unapplied(&world, "t-before", &Options::default()).await?;
    let before = service.push(&Image::new("before"), &["1111111"]).await?;
    next_second().await?;
    service.apply(&ana, &Options::default()).await?;
    // Then neither the sweep nor a late event makes a release of it
    sweep(&world, &service.name).await?;
    invoke(
        &world,
        "receive-push",
        &event(&service.name, &before.digest, "PUSH", "1111111"),
    )
    .await?;
    let all = releases(&ana, &service.name).await?;
    ensure!(all.is_empty(), "{all:?}");
    // And the next push is the first release
    let after = service.push(&Image::new("after"), &["2222222"]).await?;
    until_live(&ana, &service.name, "dev", 1).await?;
    let all = releases(&ana, &service.name).await?;
    ensure!(
        all.len() == 1 && all[0]["digest"] == after.digest.as_str(),
        "{all:?}"
    );
    service.cleanup().await
}

#[tokio::test]
async fn a_promotion_that_was_never_started_is_started_by_the_sweep() -> Result<()> {
    // Given a push that is recorded, but whose execution cannot be started
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-unstarted", &Options::default()).await?;
    let start = Rule::aws("states", "StartExecution")
        .function("receive-push")
        .body("t-unstarted");
    world.local.faults().add(refused_by(start)).await?;
    service.push(&Image::new("unstarted"), &["1111111"]).await?;
    until_fired(&world, "receive-push", "states").await?;
    ensure!(
        promotion(&ana, &service.name, "dev", 1).await?.is_some(),
        "it was not recorded"
    );
    // When the sweep comes, twice
    sweep(&world, &service.name).await?;
    sweep(&world, &service.name).await?;
    // Then it is started, once
    until_live(&ana, &service.name, "dev", 1).await?;
    let started = executions(&world, "promotion", "t-unstarted-").await?;
    ensure!(started.len() == 1, "{started:?}");
    service.cleanup().await
}

#[tokio::test]
async fn a_promotion_stopped_before_its_first_write_is_aborted() -> Result<()> {
    // Given a promotion that waits for approval, and one behind it
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(
        &world,
        "t-stopped",
        &Options {
            approval: true,
            ..Options::default()
        },
    )
    .await?;
    service.push(&Image::new("stopped 1"), &["1111111"]).await?;
    until_asked(&ana, &service.name, "dev", 1).await?;
    let second = service.push(&Image::new("stopped 2"), &["2222222"]).await?;
    until_state(&ana, &service.name, "dev", 2, "wanted").await?;
    // When somebody stops its execution
    stop(&world, "promotion", "t-stopped-1-dev-1").await?;
    ensure!(
        ended(&world, "promotion", "t-stopped-1-dev-1").await? == "ABORTED",
        "it was not stopped"
    );
    sweep(&world, &service.name).await?;
    // Then it is over, nothing was written, and the next one is asked about
    let over = until_state(&ana, &service.name, "dev", 1, "aborted").await?;
    ensure!(
        over["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("aborted")),
        "{over}"
    );
    let place = service.place("dev")?;
    let pods = running(&world, &place.cluster, &place.namespace, "app=t-stopped").await?;
    ensure!(pods.pods == 0, "{pods:?}");
    until_asked(&ana, &service.name, "dev", 2).await?;
    ana.run(&["approve", &service.name, "dev", "2"]).await?;
    until_live(&ana, &service.name, "dev", 2).await?;
    service.assert_runs(&second).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_promotion_stopped_after_its_first_write_is_undone() -> Result<()> {
    // Given a release that is live, and one whose pods never get ready
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = Options {
        timeout: "10m".into(),
        ..Options::default()
    };
    let service = Delivered::new(&world, "t-halfway", &options).await?;
    let good = service.push(&Image::new("halfway 1"), &["1111111"]).await?;
    until_live(&ana, &service.name, "dev", 1).await?;
    let bad = Image::new("halfway 2").label("sluice.sim/never-ready", "true");
    let bad = service.push(&bad, &["2222222"]).await?;
    let place = service.place("dev")?;
    until_written(&world, place, &service.name, &bad.digest).await?;
    // When somebody stops its execution
    stop(&world, "promotion", "t-halfway-2-dev-1").await?;
    ensure!(
        ended(&world, "promotion", "t-halfway-2-dev-1").await? == "ABORTED",
        "it was not stopped"
    );
    sweep(&world, &service.name).await?;
    // Then every pod is on what was live before, and the next push comes through
    until_live(&ana, &service.name, "dev", 1).await?;
    let back = service.assert_runs(&good).await?;
    ensure!(back.pods == 2, "{back:?}");
    let over = promotion(&ana, &service.name, "dev", 2)
        .await?
        .unwrap_or_default();
    ensure!(over["state"] == "aborted", "{over}");
    ana.run(&["ledger", "verify", &service.name, "dev"]).await?;
    next_second().await?;
    let next = service.push(&Image::new("halfway 3"), &["3333333"]).await?;
    until_live(&ana, &service.name, "dev", 3).await?;
    service.assert_runs(&next).await?;
    service.cleanup().await
}
