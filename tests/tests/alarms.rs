//! The watch: after full traffic an alarm still rolls a release back, whatever becomes of its event.
#![allow(clippy::indexing_slicing)]

use anyhow::{Result, ensure};
use aws_sdk_cloudwatch::types::StateValue;
use futures::future::try_join_all;
use serde_json::{Value, json};
use sluice_local::faults::{Action, Rule};
use sluice_local::image::{Image, Pushed};
use sluice_tests::alarms::Alarm;
use sluice_tests::outside::{executions, invoke, ledger, sweep, until_fired, until_rolling};
use sluice_tests::rows::{row, until_row};
use sluice_tests::seen::{PATIENCE, environment, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};

/// A service whose second release is live and watched, and its alarm.
struct Watched {
    world: World,
    ana: Person,
    service: Delivered,
    alarm: Alarm,
    first: Pushed,
    second: Pushed,
}

fn options(alarm: &str, watch: &str) -> Options {
    Options {
        environment: format!("alarms = [\"{alarm}\"]\nwatch = \"{watch}\"\nhold_for = \"10s\"\n"),
        ..Options::default()
    }
}

impl Watched {
    /// `#1` passed its watch long ago, as far as anybody can see; `#2` is watched for so long.
    async fn new(name: &str, watch: &str, missing_data: &str) -> Result<Self> {
        let world = World::load().await?;
        let ana = world.person("ana").await?;
        let alarm = Alarm::put(&world, &format!("{name}-5xx"), name, missing_data).await?;
        let service = Delivered::new(&world, name, &Options::default()).await?;
        let first = service.deliver(&ana, 1).await?;
        service.apply(&ana, &options(&alarm.name, watch)).await?;
        let second = service.deliver(&ana, 2).await?;
        let this = Self {
            world,
            ana,
            service,
            alarm,
            first,
            second,
        };
        ensure!(this.watched().await? == Some(2), "#2 is not watched");
        Ok(this)
    }

    /// The release that is watched.
    async fn watched(&self) -> Result<Option<u32>> {
        let row = row(&self.world, &self.service.name, "dev").await?;
        Ok(row.watch.and_then(|watch| watch.release).map(|release| release.0))
    }

    fn event(&self) -> Value {
        json!({
            "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
            "account": self.world.local.account, "region": self.world.local.region, "resources": [],
            "detail": {"alarmName": self.alarm.name, "state": {"value": "ALARM", "reason": "as somebody says"}},
        })
    }

    /// Its alarm's events come to nothing.
    async fn lose_events(&self) -> Result<()> {
        let lost = Rule::aws("dynamodb", "Query")
            .function("receive-alarm")
            .body(&format!("#{}", self.alarm.name));
        let body = r#"{"__type":"com.amazonaws#AccessDeniedException","message":"a fault of the test"}"#;
        let refused = lost.times(0).then(Action::Error {
            status: 400,
            body: body.to_owned(),
        });
        self.world.local.faults().add(refused).await
    }

    async fn sweep(&self) -> Result<Value> {
        sweep(&self.world, &self.service.name).await
    }

    /// Asserts the one end of every way of hearing of the alarm: `#1` is back, by one rollback that names the alarm.
    async fn assert_rolled_back(&self) -> Result<()> {
        let name = &self.service.name;
        let found = until_live(&self.ana, name, "dev", 1).await?;
        self.service.assert_runs(&self.first).await?;
        let hold = found
            .pointer("/hold/reason")
            .and_then(Value::as_str)
            .unwrap_or_default();
        ensure!(hold.contains(&self.alarm.name) && hold.contains("#2"), "{found}");
        let events = ledger(&self.ana, name, "dev").await?;
        let blamed: Vec<&Value> = events
            .iter()
            .filter(|one| one["event"] == "alarm_blamed")
            .collect();
        let reason = blamed
            .first()
            .and_then(|one| one["reason"].as_str())
            .unwrap_or_default();
        ensure!(blamed.len() == 1 && blamed[0]["release"] == 2, "{events:?}");
        ensure!(
            reason.contains(&self.alarm.name) && reason.contains("went into ALARM at"),
            "{reason}"
        );
        let rollbacks = executions(&self.world, "rollback", &format!("{name}-dev-r")).await?;
        ensure!(rollbacks.len() == 1, "{rollbacks:?}");
        ensure!(self.watched().await?.is_none(), "something is still watched");
        self.ana.run(&["ledger", "verify", name, "dev"]).await?;
        Ok(())
    }

    /// Nothing is left that is watched: the sweep would look after it for as long as its watch lasts, without its alarm and its
    /// namespace.
    async fn cleanup(&self) -> Result<()> {
        if self.watched().await?.is_some() {
            let name = self.service.name.as_str();
            self.ana.run(&["rollback", name, "dev"]).await?;
            until_live(&self.ana, name, "dev", 1).await?;
        }
        self.alarm.delete().await?;
        self.service.cleanup().await
    }
}

#[tokio::test]
async fn an_alarm_after_full_traffic_rolls_the_release_back() -> Result<()> {
    let watched = Watched::new("t-watch-alarm", "10m", "notBreaching").await?;
    // When its own metric shows errors
    watched.alarm.errors().await?;
    // Then what was live before is back, without anybody's doing
    watched.assert_rolled_back().await?;
    // And later events of the same alarm, and the sweep, change nothing
    invoke(&watched.world, "receive-alarm", &watched.event()).await?;
    watched.sweep().await?;
    watched.assert_rolled_back().await?;
    watched.cleanup().await
}

#[tokio::test]
async fn an_event_that_is_lost_is_made_up_for_by_the_sweep_also_when_the_alarm_is_ok_again() -> Result<()> {
    let watched = Watched::new("t-watch-lost", "10m", "notBreaching").await?;
    // Given an alarm whose event comes to nothing, and which is OK again
    watched.lose_events().await?;
    watched.alarm.set(StateValue::Alarm).await?;
    watched.alarm.until(StateValue::Ok).await?;
    until_fired(&watched.world, "receive-alarm", "dynamodb").await?;
    // When the sweep comes
    watched.sweep().await?;
    // Then the end is the same
    watched.assert_rolled_back().await?;
    watched.cleanup().await
}

#[tokio::test]
async fn an_event_that_comes_many_times_at_once_is_one_rollback() -> Result<()> {
    let watched = Watched::new("t-watch-doubled", "10m", "notBreaching").await?;
    watched.alarm.errors().await?;
    watched.alarm.until(StateValue::Alarm).await?;
    // When its event comes six times more, at once, among sweeps
    let (event, world) = (watched.event(), &watched.world);
    let events = (0..6).map(|_| invoke(world, "receive-alarm", &event));
    let (said, _, _) = futures::try_join!(try_join_all(events), watched.sweep(), watched.sweep())?;
    // Then it is one rollback
    ensure!(said.iter().all(|said| said.get("ignored").is_none()), "{said:?}");
    watched.assert_rolled_back().await?;
    watched.cleanup().await
}

#[tokio::test]
async fn what_is_not_this_environments_alarm_or_not_in_alarm_changes_nothing() -> Result<()> {
    let watched = Watched::new("t-watch-other", "10m", "notBreaching").await?;
    let (world, name) = (&watched.world, watched.service.name.as_str());
    // Given an alarm of the same metric for another service, in ALARM
    let other = Alarm::put(
        world,
        "t-watch-other-neighbour",
        "t-watch-neighbour",
        "notBreaching",
    )
    .await?;
    other.errors().await?;
    other.until(StateValue::Alarm).await?;
    // When its event comes, one that says of ours what is not so, one of another account, and noise
    let with = |pointer: &str, value: &str| {
        let mut event = watched.event();
        if let Some(field) = event.pointer_mut(pointer) {
            *field = json!(value);
        }
        event
    };
    for event in [
        with("/detail/alarmName", &other.name),
        watched.event(),
        with("/account", "999999999999"),
        with("/region", "eu-west-3"),
        with("/detail/state/value", "OK"),
        json!({"detail": 7}),
    ] {
        let said = invoke(world, "receive-alarm", &event).await?;
        let done = said.get("done").and_then(Value::as_array);
        ensure!(done.is_none_or(Vec::is_empty), "{event}: {said}");
    }
    watched.sweep().await?;
    // Then the release stays, and is still watched
    until_live(&watched.ana, name, "dev", 2).await?;
    watched.service.assert_runs(&watched.second).await?;
    ensure!(watched.watched().await? == Some(2), "it is no longer watched");
    other.delete().await?;
    watched.cleanup().await
}

#[tokio::test]
async fn a_quiet_watch_passes_and_its_release_is_the_one_to_come_back_to() -> Result<()> {
    let watched = Watched::new("t-watch-quiet", "10s", "notBreaching").await?;
    let name = watched.service.name.as_str();
    // When its time is over and the sweep looks
    let passed = until("the end of the watch", PATIENCE, || async {
        watched.sweep().await?;
        let row = row(&watched.world, name, "dev").await?;
        let first = row.completed.first().and_then(|completed| completed.watched);
        Ok(if row.watch.is_none() && first == Some(true) {
            Ok(())
        } else {
            Err(format!("{:?}", row.watch))
        })
    });
    passed.await?;
    // Then it is told, and an alarm that comes now blames nobody
    let events = ledger(&watched.ana, name, "dev").await?;
    let told: Vec<&str> = events
        .iter()
        .filter_map(|one| one["event"].as_str())
        .filter(|event| event.starts_with("watch_"))
        .collect();
    ensure!(told == ["watch_started", "watch_passed"], "{told:?}");
    watched.alarm.errors().await?;
    watched.alarm.until(StateValue::Alarm).await?;
    invoke(&watched.world, "receive-alarm", &watched.event()).await?;
    watched.sweep().await?;
    until_live(&watched.ana, name, "dev", 2).await?;
    watched.service.assert_runs(&watched.second).await?;
    watched.cleanup().await
}

#[tokio::test]
async fn a_watch_that_cannot_be_told_is_held_and_then_rolled_back() -> Result<()> {
    // Given an alarm that has no data, and for which missing data is missing
    let watched = Watched::new("t-watch-unclear", "10s", "missing").await?;
    let name = watched.service.name.as_str();
    // When the watch is over
    let held = until("the hold", PATIENCE, || async {
        watched.sweep().await?;
        let row = row(&watched.world, name, "dev").await?;
        let held = row.watch.filter(|watch| watch.held_until.is_some());
        Ok(held.ok_or_else(|| "not held".to_owned()))
    });
    // Then it is held for its time, and says why
    let why = held.await?.reason.unwrap_or_default();
    ensure!(
        why.contains("INSUFFICIENT_DATA") && why.contains(&watched.alarm.name),
        "{why}"
    );
    // And then rolled back, though no alarm blames it
    until_row(&watched.world, name, "dev", PATIENCE, |row| {
        row.watch.is_some() || row.last_rollback.is_some()
    })
    .await?;
    let back = until("the rollback", PATIENCE, || async {
        watched.sweep().await?;
        let found = environment(&watched.ana, name, "dev").await?;
        Ok(if found.pointer("/live/release") == Some(&json!(1)) {
            Ok(found)
        } else {
            Err(found.to_string())
        })
    });
    back.await?;
    until_live(&watched.ana, name, "dev", 1).await?;
    watched.service.assert_runs(&watched.first).await?;
    let events = ledger(&watched.ana, name, "dev").await?;
    let told: Vec<&str> = events.iter().filter_map(|one| one["event"].as_str()).collect();
    ensure!(
        told.contains(&"watch_held") && !told.contains(&"alarm_blamed"),
        "{told:?}"
    );
    watched.cleanup().await
}

#[tokio::test]
async fn apply_says_which_alarms_could_never_let_a_release_pass() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "t-watch-warned";
    let alarm = Alarm::put(&world, "t-watch-warned-5xx", name, "missing").await?;
    alarm.until(StateValue::InsufficientData).await?;
    let service = Delivered::new(&world, name, &Options::default()).await?;
    let mut with = options(&alarm.name, "10m");
    with.environment = with.environment.replace("\"]", "\", \"t-watch-nobodys\"]");
    let said = service.apply(&ana, &with).await?;
    let said = format!("{}{}", said.out, said.err);
    ensure!(
        said.contains("dev: alarm t-watch-warned-5xx has INSUFFICIENT_DATA now"),
        "{said}"
    );
    ensure!(
        said.contains("dev: alarm t-watch-nobodys does not exist"),
        "{said}"
    );
    alarm.delete().await?;
    service.cleanup().await
}

#[tokio::test]
async fn an_alarm_while_pods_are_replaced_takes_the_rollout_back() -> Result<()> {
    // Given a release that is live, and one whose pods do not get ready
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "t-watch-rollout";
    let alarm = Alarm::put(&world, "t-watch-rollout-5xx", name, "notBreaching").await?;
    let long = Options {
        timeout: "10m".into(),
        ..options(&alarm.name, "10m")
    };
    let service = Delivered::new(&world, name, &long).await?;
    let first = service.deliver(&ana, 1).await?;
    let slow = Image::new("watch rollout 2").label("sluice.sim/never-ready", "true");
    service.push(&slow, &["2222222"]).await?;
    until_rolling(&ana, name, "dev", 2).await?;
    // When the alarm fires
    alarm.errors().await?;
    // Then what was live is back, the promotion failed by that alarm, and nothing is held
    let over = until_state(&ana, name, "dev", 2, "failed").await?;
    ensure!(
        over["reason"]
            .as_str()
            .is_some_and(|why| why.contains(&alarm.name)),
        "{over}"
    );
    let found = until_live(&ana, name, "dev", 1).await?;
    ensure!(found.get("hold").is_none_or(Value::is_null), "{found}");
    service.assert_runs(&first).await?;
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    alarm.delete().await?;
    service.cleanup().await
}
