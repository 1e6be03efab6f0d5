//! What people type while a canary is on its way, and what becomes of it.
#![allow(clippy::indexing_slicing)]

use crate::service::{assert_pointed, assert_served, assert_traffic, route, routed};
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_domain::environment::{Environment, Phase};
use sluice_domain::tracks::Traffic;
use sluice_local::image::Image;
use sluice_tests::alarms::Alarm;
use sluice_tests::outside::{ledger, sweep};
use sluice_tests::rows::until_row;
use sluice_tests::seen::{PATIENCE, environment, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};

/// The refusal of a command that can be understood.
const REFUSED: i32 = 5;

fn canary(name: &str, first: &str) -> String {
    format!(
        "strategy = {{ canary = {{ router = {{ http_route = \"{name}\" }}, steps = [\
         {{ weight = 5, bake = \"{first}\" }}, {{ weight = 50, bake = \"30m\" }}] }} }}\n"
    )
}

/// A service whose first release is live on blue.
struct Started {
    world: World,
    ana: Person,
    service: Delivered,
}

impl Started {
    async fn new(name: &str, first_bake: &str) -> Result<Self> {
        let world = World::load().await?;
        let ana = world.person("ana").await?;
        let service = routed(&world, name, &canary(name, first_bake), 4).await?;
        Ok(Self { world, ana, service })
    }

    fn name(&self) -> &str {
        &self.service.name
    }

    async fn push(&self, number: u64) -> Result<String> {
        let image = Image::new(&format!("{} {number}", self.name()));
        let pushed = self.service.push(&image, &[&format!("{number:07x}")]).await?;
        Ok(pushed.digest)
    }

    /// A command about the environment, which must be carried out.
    async fn says(&self, word: &str, more: &[&str]) -> Result<String> {
        self.ana.run(&[&[word, self.name(), "dev"], more].concat()).await
    }

    /// One that must be refused, with this reason and this next command.
    async fn may_not(&self, word: &str, more: &[&str], why: &str, next: &str) -> Result<()> {
        let asked = [&[word, self.name(), "dev"], more].concat();
        let said = self.ana.refused(&asked, REFUSED).await?;
        ensure!(said.contains(why) && said.contains(next), "{asked:?}: {said}");
        Ok(())
    }

    async fn status(&self) -> Result<Value> {
        environment(&self.ana, self.name(), "dev").await
    }

    async fn until(&self, wanted: impl Fn(&Environment) -> bool) -> Result<Environment> {
        until_row(&self.world, self.name(), "dev", PATIENCE, wanted).await
    }

    /// Until this release bakes at this step.
    async fn until_baking(&self, release: u32, step: u32) -> Result<Environment> {
        self.until(|row| {
            row.under_way().is_some_and(|rollout| {
                rollout.phase == Phase::Baking
                    && rollout.release.is_some_and(|number| number.0 == release)
                    && rollout
                        .traffic
                        .as_ref()
                        .is_some_and(|traffic| traffic.stage == step)
            })
        })
        .await
    }
}

fn traffic(row: &Environment) -> Result<&Traffic> {
    let rollout = row.under_way().context("nothing is under way")?;
    rollout.traffic.as_deref().context("it is on no tracks")
}

/// The states that an execution has come to since this second: events have no finer times.
async fn states_after(world: &World, execution: &str, since: Timestamp) -> Result<Vec<String>> {
    let machine = world.local.sluice()?.state_machines.get("promotion");
    let machine = machine.context("no state machine promotion")?;
    let arn = format!("{}:{execution}", machine.replace(":stateMachine:", ":execution:"));
    let pages = aws_sdk_sfn::Client::new(&world.config)
        .get_execution_history()
        .execution_arn(arn)
        .into_paginator()
        .items()
        .send();
    let events: Vec<_> = pages.try_collect().await?;
    let late = events
        .iter()
        .filter(|event| event.timestamp().secs() >= since.as_second());
    let names = late.filter_map(|event| Some(event.state_entered_event_details()?.name().to_owned()));
    Ok(names.collect())
}

/// What `sluice status` prints, without its line breaks and columns.
async fn shown_text(ana: &Person, name: &str) -> Result<String> {
    let text = ana.run(&["status", name]).await?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Track, release, state, weight and pods of each place.
fn places(status: &Value) -> Vec<Value> {
    let tracks = status["tracks"].as_array().cloned().unwrap_or_default();
    let of = |track: &Value| {
        json!([
            track["track"],
            track["release"],
            track["state"],
            track["weight"],
            track["pods"]
        ])
    };
    tracks.iter().map(of).collect()
}

#[tokio::test]
async fn a_canary_is_paused_resumed_hurried_and_aborted() -> Result<()> {
    let canary = Started::new("tr-said", "10s").await?;
    let name = canary.name();
    let first = canary.service.deliver(&canary.ana, 1).await?.digest;
    // Given nothing under way: what is said to a rollout is refused, with what would be right
    let status = format!("sluice status {name} --environment dev");
    for word in ["pause", "resume"] {
        canary
            .may_not(word, &[], "Nothing is being rolled out in dev", &status)
            .await?;
    }
    canary.may_not("abort", &[], "dev", "sluice").await?;
    canary.may_not("retry", &[], "nothing", "sluice").await?;
    canary
        .may_not(
            "promote",
            &["1", "--full", "--reason", "quick"],
            "is live in dev already",
            &status,
        )
        .await?;

    // When a release bakes and is paused, then it does not go on, though its time is over and the sweep looks
    let second = canary.push(2).await?;
    let row = canary.until_baking(2, 0).await?;
    let said = canary.says("pause", &["--reason", "the p99 looks odd"]).await?;
    ensure!(said.contains("keeps 5 % of the traffic"), "{said}");
    let over = traffic(&row)?.bake_until.context("no end of the bake")?;
    until("the end of the bake", PATIENCE, || async {
        let now = Timestamp::now();
        Ok(if now > over { Ok(()) } else { Err(now.to_string()) })
    })
    .await?;
    sweep(&canary.world, name).await?;
    let owner = row.under_way().context("nothing is under way")?.owner.to_string();
    until("a look after the bake", PATIENCE, || async {
        let states = states_after(&canary.world, &owner, over).await?;
        let looked = states.iter().any(|state| state == "AdvanceRollout");
        Ok(if looked {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        })
    })
    .await?;
    let slept = canary.until_baking(2, 0).await?;
    ensure!(traffic(&slept)?.pause.is_some(), "{slept:?}");
    let shown = canary.status().await?;
    ensure!(
        places(&shown)
            == [
                json!(["blue", 1, "live", 95, 4]),
                json!(["green", 2, "coming", 5, 1])
            ],
        "{shown}"
    );
    let pause = &shown["activity"]["traffic"]["pause"];
    ensure!(
        pause["by"] == "ana" && pause["reason"] == "the p99 looks odd",
        "{shown}"
    );
    let text = shown_text(&canary.ana, name).await?;
    for told in [
        "paused by ana: the p99 looks odd",
        "blue 95 % #1",
        "green 5 % #2",
        "1 pod",
        "4 pods",
    ] {
        ensure!(text.contains(told), "{told}: {text}");
    }
    ensure!(text.contains(&format!("sluice resume {name} dev")), "{text}");
    canary.may_not("retry", &[], "nothing", "sluice").await?;
    // A second `pause` of the same person is the same pause
    canary.says("pause", &["--reason", "the p99 looks odd"]).await?;

    // When it is resumed, then it goes on to the next step
    canary.says("resume", &[]).await?;
    canary.until_baking(2, 1).await?;
    let shown = canary.status().await?;
    ensure!(
        places(&shown)
            == [
                json!(["blue", 1, "live", 50, 4]),
                json!(["green", 2, "coming", 50, 2])
            ],
        "{shown}"
    );
    // When it is to have everything now, then it has, long before its bake is over
    let said = canary
        .says("promote", &["2", "--full", "--reason", "it is good"])
        .await?;
    ensure!(said.contains("all of the traffic"), "{said}");
    until_live(&canary.ana, name, "dev", 2).await?;
    assert_pointed(&canary.service, "green").await?;

    let digests = [first.as_str(), second.as_str()];
    assert_traffic(
        &canary.world,
        &canary.service,
        &digests,
        &[0.0, 5.0, 50.0, 100.0],
        "green",
    )
    .await?;

    // When the next one is aborted in the middle, then all traffic is back
    let third = canary.push(3).await?;
    canary.until_baking(3, 0).await?;
    canary.says("abort", &["3", "--reason", "wrong one"]).await?;
    canary.until(|row| row.under_way().is_none()).await?;
    until_live(&canary.ana, name, "dev", 2).await?;
    until_state(&canary.ana, name, "dev", 3, "aborted").await?;
    assert_pointed(&canary.service, "green").await?;
    let shown = canary.status().await?;
    let weights: Vec<&Value> = shown["tracks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["weight"])
        .collect();
    ensure!(weights == [&json!(0), &json!(100)], "{shown}");
    let events = ledger(&canary.ana, name, "dev").await?;
    let told: Vec<&str> = events.iter().filter_map(|one| one["event"].as_str()).collect();
    for event in ["rollout_paused", "rollout_resumed", "rollout_hurried"] {
        ensure!(
            told.iter().filter(|one| **one == event).count() == 1,
            "{event}: {told:?}"
        );
    }
    let digests = [first.as_str(), second.as_str(), third.as_str()];
    assert_served(&canary.world, &canary.service, &digests).await?;
    canary.ana.run(&["ledger", "verify", name, "dev"]).await?;
    canary.service.cleanup().await
}

/// The service with an alarm from its second release on.
async fn alarmed(name: &str, alarm: &Alarm) -> Result<Started> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let steps = "strategy = { canary = { router = { http_route = \"NAME\" }, steps = [{ weight = 5, bake = \"10s\" }] } }\n";
    let strategy = steps.replace("NAME", name);
    let options = Options {
        exposed: true,
        timeout: "10m".into(),
        environment: strategy.clone(),
        ..Options::default()
    };
    let service = Delivered::new(&world, name, &options).await?;
    route(&service, name).await?;
    service.deliver(&ana, 1).await?;
    let with_alarm = Options {
        environment: format!("{strategy}alarms = [\"{}\"]\nhold_for = \"30m\"\n", alarm.name),
        ..options
    };
    service.apply(&ana, &with_alarm).await?;
    Ok(Started { world, ana, service })
}

#[tokio::test]
async fn a_fix_goes_forward_in_spite_of_an_alarm_that_stood_before() -> Result<()> {
    // Given an alarm that is in ALARM, and stays so, and a release that waits for it
    let (world, name) = (World::load().await?, "tr-despite");
    let alarm = Alarm::put(&world, "tr-despite-5xx", name, "breaching").await?;
    alarm.until(aws_sdk_cloudwatch::types::StateValue::Alarm).await?;
    let canary = alarmed(name, &alarm).await?;
    canary.push(2).await?;
    let waits = until("what it waits for", PATIENCE, || async {
        let found = canary.status().await?;
        let reason = found["activity"]["reason"].as_str().unwrap_or_default();
        Ok(if reason.contains("tr-despite-5xx is in ALARM since") {
            Ok(found)
        } else {
            Err(found.to_string())
        })
    });
    let shown = waits.await?;
    ensure!(shown["activity"]["release"] == 2, "{shown}");
    // A wrong name would stop nothing, and is refused
    let wrong = [
        "promote",
        name,
        "dev",
        "2",
        "--despite",
        "tr-despite-p99",
        "--reason",
        "fix",
    ];
    let said = canary.ana.refused(&wrong, 3).await?;
    ensure!(said.contains("it has tr-despite-5xx"), "{said}");
    // When a person says that this is the fix, then it goes all the way, while the alarm is still in ALARM
    canary
        .says(
            "promote",
            &["2", "--despite", "tr-despite-5xx", "--reason", "it is the fix"],
        )
        .await?;
    until_live(&canary.ana, name, "dev", 2).await?;
    ensure!(alarm.state().await?.as_str() == "ALARM", "it came back by itself");
    let events = ledger(&canary.ana, name, "dev").await?;
    ensure!(
        events
            .iter()
            .any(|one| one["event"] == "alarms_set_aside" && one["by"] == "ana"),
        "{events:?}"
    );
    alarm.delete().await?;
    canary.service.cleanup().await
}

#[tokio::test]
async fn alarms_that_say_nothing_hold_a_canary_until_they_are_read_again() -> Result<()> {
    // Given an alarm without data, for which that says nothing, and a release at the end of its bake
    let (world, name) = (World::load().await?, "tr-retry");
    let alarm = Alarm::put(&world, "tr-retry-5xx", name, "missing").await?;
    let canary = alarmed(name, &alarm).await?;
    canary.push(2).await?;
    let held = canary.until(|row| {
        row.under_way()
            .is_some_and(|rollout| rollout.held_until.is_some())
    });
    let reason = held
        .await?
        .rollout
        .and_then(|rollout| rollout.reason)
        .unwrap_or_default();
    ensure!(
        reason.contains("tr-retry-5xx") && reason.contains("INSUFFICIENT_DATA"),
        "{reason}"
    );
    let text = shown_text(&canary.ana, name).await?;
    ensure!(
        text.contains("held, ") && text.contains("tr-retry-5xx: INSUFFICIENT_DATA"),
        "{text}"
    );
    ensure!(text.contains(&format!("sluice retry {name} dev")), "{text}");
    // When somebody mends the alarm and has it read again, then the release goes on
    let mended = Alarm::put(&world, "tr-retry-5xx", name, "notBreaching").await?;
    mended.until(aws_sdk_cloudwatch::types::StateValue::Ok).await?;
    canary.says("retry", &[]).await?;
    until_live(&canary.ana, name, "dev", 2).await?;
    mended.delete().await?;
    canary.service.cleanup().await
}
