//! Alarms over a canary: a bad one goes back by its own metrics before the end of its bake, whatever becomes of the event;
//! what cannot be told is held, and then goes back.
#![allow(clippy::indexing_slicing)]

use crate::scene::{Scene, steps};
use crate::service::assert_pointed;
use anyhow::{Result, ensure};
use aws_sdk_cloudwatch::types::StateValue;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sluice_domain::tracks::Track;
use sluice_local::faults::{Action, Rule};
use sluice_local::image::{Image, Pushed};
use sluice_tests::World;
use sluice_tests::alarms::{Alarm, Backend};
use sluice_tests::outside::{invoke, sweep, until_fired};
use sluice_tests::rows::until_row;
use sluice_tests::seen::{PATIENCE, until_state};

/// A bake that is over only when something ends it.
const LONG: &str = "20m";
/// The same in numbers.
const LONG_MINUTES: i64 = 20;

/// An image with a hundred requests a second of the whole, and so many errors in a hundred of its own.
fn serving(content: &str, errors: &str) -> Image {
    Image::new(content)
        .label("sluice.sim/requests-per-second", "100")
        .label("sluice.sim/error-rate", errors)
}

/// What EventBridge hands over when an alarm goes into ALARM.
fn event(world: &World, alarm: &str) -> Value {
    json!({
        "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
        "account": world.local.account, "region": world.local.region, "resources": [],
        "detail": {"alarmName": alarm, "state": {"value": "ALARM", "reason": "as somebody says"}},
    })
}

/// A canary at 25 % whose first release is live, and whose second one is pushed by the test.
async fn scene(name: &str, bake: &str, alarm: &str, more: &str) -> Result<(Scene, Pushed)> {
    let more = format!("alarms = [\"{alarm}\"]\nhold_for = \"10s\"\n{more}");
    let scene = Scene::new(name, &steps(name, &[(25, bake)], &more), 4).await?;
    ensure!(scene.service.place("dev")?.namespace == namespace(name));
    let first = scene.push(&serving(&format!("{name} 1"), "0"), 1).await?;
    scene.until_live(1).await?;
    Ok((scene, first))
}

/// What is counted for the canary of a service.
fn green(name: &str) -> Backend {
    Backend {
        namespace: namespace(name),
        service: Track::Green.of(name),
    }
}

/// The test's namespace: alarms on what happens in it are there before it is, as a missing one lets no release begin.
fn namespace(name: &str) -> String {
    format!("t-{name}-dev")
}

/// Asserts the one end: the traffic is back where it was, by one way back that names the alarm.
async fn assert_back(scene: &Scene, alarm: &str, images: &[&Pushed]) -> Result<()> {
    let over = until_state(&scene.ana, scene.name(), "dev", 2, "failed").await?;
    let why = over["reason"].as_str().unwrap_or_default();
    ensure!(
        why.contains(alarm) && why.contains("went into ALARM at"),
        "{over}"
    );
    let found = scene.until_live(1).await?;
    ensure!(
        found.get("hold").is_none_or(Value::is_null),
        "a release that never completed holds nothing: {found}"
    );
    assert_pointed(&scene.service, "blue").await?;
    scene.assert_traffic(4, images, &[0.0, 25.0, 0.0]).await?;
    ensure!(scene.events("promotion_failed", 2).await?.len() == 1);
    ensure!(scene.rollbacks().await? <= 1, "more than one rollback");
    Ok(())
}

/// A bad release raises the alarm by its own metrics, and is back before the end of its bake.
async fn by_its_own_metrics(scene: &Scene, first: &Pushed, alarm: &Alarm) -> Result<()> {
    alarm.until(StateValue::Ok).await?;
    let before = Timestamp::now();
    let second = scene
        .push(&serving(&format!("{} 2", scene.name()), "40"), 2)
        .await?;
    // Nobody looks for the bake itself: the alarm may end it sooner than the row can be read.
    assert_back(scene, &alarm.name, &[first, &second]).await?;
    ensure!(
        Timestamp::now() < before + SignedDuration::from_mins(LONG_MINUTES),
        "the bake may have been over"
    );
    let blamed = scene.events("alarm_blamed", 2).await?;
    ensure!(blamed.len() == 1 && scene.rollbacks().await? == 1, "{blamed:?}");
    Ok(())
}

#[tokio::test]
async fn a_bad_canary_is_back_by_the_alarm_on_its_own_errors() -> Result<()> {
    let (name, world) = ("ta-metric", World::load().await?);
    let alarm = Alarm::of_errors(&world, "ta-metric-5xx", &green(name)).await?;
    let (scene, first) = scene(name, LONG, "ta-metric-5xx", "").await?;
    by_its_own_metrics(&scene, &first, &alarm).await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn a_bad_canary_is_back_by_an_alarm_on_an_expression() -> Result<()> {
    let (name, world) = ("ta-math", World::load().await?);
    let alarm = Alarm::of_error_rate(&world, "ta-math-rate", &green(name)).await?;
    let (scene, first) = scene(name, LONG, "ta-math-rate", "").await?;
    by_its_own_metrics(&scene, &first, &alarm).await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn a_bad_canary_is_back_by_a_composite_alarm() -> Result<()> {
    let (name, world) = ("ta-composite", World::load().await?);
    let errors = Alarm::of_errors(&world, "ta-composite-5xx", &green(name)).await?;
    let alarm = errors.over(&world, "ta-composite-any").await?;
    let (scene, first) = scene(name, LONG, "ta-composite-any", "").await?;
    by_its_own_metrics(&scene, &first, &alarm).await?;
    alarm.delete().await?;
    errors.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn an_event_that_is_lost_is_made_up_for_at_the_end_of_the_bake_also_when_the_alarm_is_ok_again()
-> Result<()> {
    // Given a canary whose alarm's events come to nothing
    let (name, world) = ("ta-lost", World::load().await?);
    let alarm = Alarm::put(&world, "ta-lost-5xx", name, "notBreaching").await?;
    let (scene, first) = scene(name, "10s", "ta-lost-5xx", "").await?;
    let lost = Rule::aws("dynamodb", "Query")
        .function("receive-alarm")
        .body(&format!("#{}", alarm.name));
    let body = r#"{"__type":"com.amazonaws#AccessDeniedException","message":"a fault of the test"}"#;
    let refused = lost.times(0).then(Action::Error {
        status: 400,
        body: body.to_owned(),
    });
    scene.world.local.faults().add(refused).await?;
    let second = scene.push_good(2).await?;
    scene.until_baking(2).await?;
    // When it goes into ALARM for a moment, and is OK again long before the bake is over
    alarm.set(StateValue::Alarm).await?;
    alarm.until(StateValue::Ok).await?;
    until_fired(&scene.world, "receive-alarm", "dynamodb").await?;
    // Then the end is the same
    assert_back(&scene, &alarm.name, &[&first, &second]).await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn an_event_that_is_doubled_and_comes_late_once_more_is_one_way_back() -> Result<()> {
    let (name, world) = ("ta-doubled", World::load().await?);
    let alarm = Alarm::put(&world, "ta-doubled-5xx", name, "notBreaching").await?;
    let (scene, first) = scene(name, LONG, "ta-doubled-5xx", "").await?;
    let second = scene.push_good(2).await?;
    scene.until_baking(2).await?;
    alarm.errors().await?;
    alarm.until(StateValue::Alarm).await?;
    // When its event comes four times more, at once, among sweeps
    let event = event(&scene.world, &alarm.name);
    let events = (0..4).map(|_| invoke(&scene.world, "receive-alarm", &event));
    futures::try_join!(
        try_join_all(events),
        sweep(&scene.world, name),
        sweep(&scene.world, name)
    )?;
    // Then it is one way back
    assert_back(&scene, &alarm.name, &[&first, &second]).await?;
    // And when it comes after everything is decided, it changes nothing
    invoke(&scene.world, "receive-alarm", &event).await?;
    sweep(&scene.world, name).await?;
    assert_back(&scene, &alarm.name, &[&first, &second]).await?;
    ensure!(scene.rollbacks().await? == 1 && scene.events("alarm_blamed", 2).await?.len() == 1);
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn an_alarm_of_another_dimension_lets_the_canary_go_on() -> Result<()> {
    // Given a canary, and an alarm of the same metric for another service
    let (name, world) = ("ta-other", World::load().await?);
    let alarm = Alarm::put(&world, "ta-other-5xx", name, "notBreaching").await?;
    let other = Alarm::put(&world, "ta-other-neighbour", "ta-neighbour", "notBreaching").await?;
    let (scene, first) = scene(name, "10s", "ta-other-5xx", "").await?;
    let second = scene.push(&serving("ta-other 2", "0"), 2).await?;
    scene.until_baking(2).await?;
    // When that one goes into ALARM in the bake, and an event says of ours what is not so
    other.errors().await?;
    other.until(StateValue::Alarm).await?;
    for name in [&other.name, &alarm.name] {
        invoke(&scene.world, "receive-alarm", &event(&scene.world, name)).await?;
    }
    // Then it goes on to all traffic
    scene.until_live(2).await?;
    ensure!(scene.rollbacks().await? == 0);
    ensure!(other.state().await? == StateValue::Alarm);
    scene
        .assert_traffic(4, &[&first, &second], &[0.0, 25.0, 100.0])
        .await?;
    other.delete().await?;
    alarm.delete().await?;
    scene.done().await
}

/// What cannot be told at the end of a bake is held, says why, and goes back.
async fn held_and_back(scene: &Scene, images: &[&Pushed], why: &[&str]) -> Result<()> {
    let name = scene.name();
    let held = until_row(&scene.world, name, "dev", PATIENCE, |row| {
        row.under_way()
            .is_some_and(|rollout| rollout.held_until.is_some())
    });
    let held = held.await?.rollout.and_then(|rollout| rollout.reason);
    let said = held.unwrap_or_default();
    ensure!(why.iter().all(|part| said.contains(part)), "{said}");
    let over = until_state(&scene.ana, name, "dev", 2, "failed").await?;
    let reason = over["reason"].as_str().unwrap_or_default();
    ensure!(why.iter().all(|part| reason.contains(part)), "{over}");
    scene.until_live(1).await?;
    assert_pointed(&scene.service, "blue").await?;
    ensure!(
        scene.events("alarm_blamed", 2).await?.is_empty(),
        "an alarm is blamed"
    );
    scene.assert_traffic(4, images, &[0.0, 25.0, 0.0]).await
}

#[tokio::test]
async fn an_alarm_without_data_at_the_end_of_a_bake_is_held_and_then_rolled_back() -> Result<()> {
    let (name, world) = ("ta-unclear", World::load().await?);
    let alarm = Alarm::put(&world, "ta-unclear-5xx", name, "missing").await?;
    let (scene, first) = scene(name, "10s", "ta-unclear-5xx", "").await?;
    alarm.until(StateValue::InsufficientData).await?;
    let second = scene.push_good(2).await?;
    held_and_back(&scene, &[&first, &second], &[&alarm.name, "INSUFFICIENT_DATA"]).await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn too_few_requests_in_a_bake_say_nothing() -> Result<()> {
    // Given a canary that wants more requests than there are
    let name = "ta-few";
    let world = World::load().await?;
    let alarm = Alarm::put(&world, "ta-few-5xx", name, "notBreaching").await?;
    let namespace = namespace(name);
    let canary = format!(
        "strategy = {{ canary = {{ router = {{ http_route = \"{name}\" }}, steps = [{{ weight = 25, bake = \"10s\" }}], \
         requests = {{ metric = \"Simulated/Traffic RequestCount\", \
         dimensions = {{ Namespace = \"{namespace}\", Service = \"{{track}}\" }}, at_least = 100000 }} }} }}\n\
         alarms = [\"{}\"]\nhold_for = \"10s\"\n",
        alarm.name
    );
    let scene = Scene::new(name, &canary, 4).await?;
    ensure!(scene.service.place("dev")?.namespace == namespace);
    let first = scene.push(&serving("ta-few 1", "0"), 1).await?;
    scene.until_live(1).await?;
    let second = scene.push(&serving("ta-few 2", "0"), 2).await?;
    held_and_back(&scene, &[&first, &second], &["requests", "100000"]).await?;
    alarm.delete().await?;
    scene.done().await
}
