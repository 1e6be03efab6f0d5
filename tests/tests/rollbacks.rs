//! One call puts a release back: the one that is named, once however often it is called, and over what is under way.
#![allow(clippy::indexing_slicing)]

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::outside::{ended, executions, invoke, ledger, until_rolling};
use sluice_tests::seen::{promotion, until_live, until_state};
use sluice_tests::service::{Delivered, Options};

fn stuck_in_rolling(service: &Delivered) -> Image {
    Image::new(&format!("{}, never ready", service.name)).label("sluice.sim/never-ready", "true")
}

/// How many of these events the ledger of dev has.
fn count(ledger: &[Value], event: &str) -> usize {
    ledger
        .iter()
        .filter(|entry| entry.get("event").is_some_and(|found| found == event))
        .count()
}

#[tokio::test]
async fn a_rollback_goes_where_it_is_told_or_says_why_not() -> Result<()> {
    // Given three releases
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-to", &Options::default()).await?;
    let name = service.name.as_str();
    let first = service.deliver(&ana, 1).await?;
    service.deliver(&ana, 2).await?;
    service.deliver(&ana, 3).await?;
    // When somebody asks for one that is not there, then nothing is done
    let unknown = ana.sluice(&["rollback", name, "dev", "--to", "99"]).await?;
    ensure!([5, 6].contains(&unknown.status), "{unknown:?}");
    ensure!(
        unknown.err.contains("99") && unknown.err.contains("sluice history"),
        "{unknown:?}"
    );
    let live = ana.refused(&["rollback", name, "dev", "--to", "3"], 5).await?;
    ensure!(live.contains("live") && live.contains("sluice "), "{live}");
    ensure!(
        executions(&world, "rollback", "t-to-").await?.is_empty(),
        "a rollback was started"
    );
    // When it asks for the oldest, then it is that one
    ana.run(&["rollback", name, "dev", "--to", "1"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    service.assert_runs(&first).await?;
    service.cleanup().await
}

#[tokio::test]
async fn ten_rollbacks_at_once_are_one() -> Result<()> {
    // Given three releases
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-ten", &Options::default()).await?;
    let name = service.name.as_str();
    service.deliver(&ana, 1).await?;
    let second = service.deliver(&ana, 2).await?;
    service.deliver(&ana, 3).await?;
    // When ten people roll it back at once
    let call = ["rollback", name, "dev"];
    let answers = try_join_all((0..10).map(|_| ana.json(&call))).await?;
    until_live(&ana, name, "dev", 2).await?;
    // Then one of them started it, the others joined it, and all were told of the same execution
    let started = answers
        .iter()
        .filter(|answer| answer["outcome"] == "started")
        .count();
    ensure!(started == 1, "{answers:?}");
    for answer in &answers {
        ensure!(
            answer["execution"] == answers[0]["execution"] && answer["to"] == 2,
            "{answers:?}"
        );
    }
    let all = executions(&world, "rollback", "t-ten-").await?;
    ensure!(all.len() == 1, "{all:?}");
    ensure!(
        count(&ledger(&ana, name, "dev").await?, "rollback_started") == 1,
        "the ledger has another number"
    );
    service.assert_runs(&second).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_rollback_during_a_rollout_wins_and_nothing_fights_it() -> Result<()> {
    // Given a release that is live, and one whose pods never get ready
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = Options {
        timeout: "10m".into(),
        ..Options::default()
    };
    let service = Delivered::new(&world, "t-wins", &options).await?;
    let name = service.name.as_str();
    let first = service.deliver(&ana, 1).await?;
    service.push(&stuck_in_rolling(&service), &["2222222"]).await?;
    until_rolling(&ana, name, "dev", 2).await?;
    // When it is rolled back meanwhile, by two at once
    let call = ["rollback", name, "dev", "--reason", "stuck"];
    for answer in try_join_all((0..2).map(|_| ana.json(&call))).await? {
        ensure!(answer["leaving"] == 2 && answer["to"] == 1, "{answer}");
    }
    // Then the release before is back, the promotion is preempted, and its execution is over
    until_live(&ana, name, "dev", 1).await?;
    until_state(&ana, name, "dev", 2, "preempted").await?;
    ended(&world, "promotion", "t-wins-2-dev-1").await?;
    service.assert_runs(&first).await?;
    // And it stays: the last write of the environment is the rollback's
    let ledger = ledger(&ana, name, "dev").await?;
    let events: Vec<_> = ledger
        .iter()
        .filter_map(|entry| entry.get("event")?.as_str())
        .collect();
    let preempted = events.iter().position(|event| *event == "rollback_started");
    let after = preempted.and_then(|at| events.get(at..)).unwrap_or_default();
    ensure!(after.contains(&"rollback_completed"), "{events:?}");
    ensure!(
        !after
            .iter()
            .any(|event| event.starts_with("restore") || event.starts_with("rollout_started")),
        "{events:?}"
    );
    service.cleanup().await
}

#[tokio::test]
async fn a_direct_call_rolls_back_and_is_recorded_as_one() -> Result<()> {
    // Given two releases
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-direct", &Options::default()).await?;
    let name = service.name.as_str();
    let first = service.deliver(&ana, 1).await?;
    service.deliver(&ana, 2).await?;
    // When the function is invoked by hand
    let answer = invoke(
        &world,
        "roll-back",
        &json!({"service": name, "environment": "dev"}),
    )
    .await?;
    ensure!(answer["outcome"] == "started" && answer["to"] == 1, "{answer}");
    // Then the release before is back, and the ledger says how it came to that
    until_live(&ana, name, "dev", 1).await?;
    service.assert_runs(&first).await?;
    let ledger = ledger(&ana, name, "dev").await?;
    let by = ledger
        .iter()
        .find(|entry| entry["event"] == "rollback_started")
        .map(|entry| entry["by"].clone());
    ensure!(by == Some(json!("invoked directly")), "{ledger:?}");
    // And whoever the payload claims to be is not believed
    let claim = json!({"service": name, "environment": "dev", "by": "ana"});
    ensure!(
        invoke(&world, "roll-back", &claim).await.is_err(),
        "a caller was taken from the payload"
    );
    ensure!(
        promotion(&ana, name, "dev", 2)
            .await?
            .is_some_and(|two| two["state"] == "verified"),
        "#2 was verified"
    );
    service.cleanup().await
}
