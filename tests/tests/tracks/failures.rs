//! Failures that are known of other controllers of progressive delivery, and do not happen here.
#![allow(clippy::indexing_slicing)]

use crate::scene::{Scene, steps};
use crate::service::{assert_pointed, replicas};
use anyhow::{Context, Result, ensure};
use aws_sdk_cloudwatch::types::StateValue;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sluice_domain::environment::Phase;
use sluice_domain::tracks::Track;
use sluice_local::faults::{Action, Rule};
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::act::{self, held};
use sluice_tests::alarms::Alarm;
use sluice_tests::outside::sweep;
use sluice_tests::rows::until_row;
use sluice_tests::seen::{PATIENCE, assert_labelled, running, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;

/// A bake that is over only when something ends it.
const LONG: &str = "20m";

#[tokio::test]
async fn after_a_retry_that_failed_too_the_way_back_is_to_the_good_one() -> Result<()> {
    // Given #1 and #2, which are good, and #3, which is not
    let name = "tf-retry";
    let world = World::load().await?;
    let alarm = Alarm::put(&world, "tf-retry-5xx", name, "notBreaching").await?;
    let more = format!("alarms = [\"{}\"]\n", alarm.name);
    let scene = Scene::new(name, &steps(name, &[(50, LONG)], &more), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    let second = scene.hurry(2).await?;
    // When it fails, is tried again and fails again
    let third = scene.push_good(3).await?;
    for attempt in 1..=2 {
        scene.until_baking(3).await?;
        alarm.set(StateValue::Alarm).await?;
        scene.until_events("promotion_failed", 3, attempt).await?;
        scene.until_live(2).await?;
        alarm.until(StateValue::Ok).await?;
        scene.promote(&[], 3).await?;
    }
    // And while it is tried once more a release is named that has no track to come to
    scene.until_baking(3).await?;
    let said = scene.ana.sluice(&["rollback", name, "dev", "--to", "1"]).await?;
    let said = format!("{}{}{}", said.status, said.out, said.err);
    ensure!(
        !said.starts_with('0') && said.contains(&format!("sluice rollback {name} dev")),
        "{said}"
    );
    // Then the way back, as often as it is asked for, is to the good one
    for _ in 0..2 {
        scene.ana.run(&["rollback", name, "dev"]).await?;
        scene.until_live(2).await?;
    }
    assert_pointed(&scene.service, "green").await?;
    scene
        .assert_traffic(
            2,
            &[&first, &second, &third],
            &[0.0, 50.0, 100.0, 50.0, 100.0, 50.0, 100.0, 50.0, 100.0],
        )
        .await?;
    // And further back needs a name
    scene.ana.run(&["rollback", name, "dev", "--to", "1"]).await?;
    scene.until_live(1).await?;
    let place = scene.service.place("dev")?.clone();
    let label = "sluice.dev/track=blue";
    assert_labelled(
        &scene.world,
        &place.cluster,
        &place.namespace,
        label,
        &first.digest,
    )
    .await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn a_call_after_a_release_failed_by_itself_leaves_the_live_one() -> Result<()> {
    // Given #1 and #2, which are good, and #3, whose pods end while they have traffic
    let name = "tf-pods";
    let scene = Scene::new(name, &steps(name, &[(50, LONG)], ""), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    let second = scene.hurry(2).await?;
    let third = Image::new("tf-pods 3").label("sluice.sim/crash-after", "6s");
    let third = scene.push(&third, 3).await?;
    scene.until_baking(3).await?;
    // When the sweep looks, long before the end of the bake
    let row = until("the sweep's look at the pods", PATIENCE, || async {
        sweep(&scene.world, name).await?;
        let row = scene.row().await?;
        let baking = row
            .under_way()
            .is_some_and(|rollout| rollout.phase == Phase::Baking);
        Ok(if baking {
            Err(format!("{:?}", row.rollout))
        } else {
            Ok(row)
        })
    });
    row.await?;
    // Then it is back, and says why
    let over = until_state(&scene.ana, name, "dev", 3, "failed").await?;
    let why = over["reason"].as_str().unwrap_or_default();
    ensure!(why.contains(&scene.on(Track::Blue)), "{over}");
    scene.until_live(2).await?;
    // And a call that comes a moment later means #3
    let said = scene.ana.run(&["rollback", name, "dev"]).await?;
    ensure!(said.contains("#2") && said.contains("--to"), "{said}");
    scene.until_live(2).await?;
    scene
        .assert_traffic(2, &[&first, &second, &third], &[0.0, 50.0, 100.0, 50.0, 100.0])
        .await?;
    scene.done().await
}

#[tokio::test]
async fn a_fix_goes_forward_where_the_live_release_is_the_bad_one() -> Result<()> {
    // Given a live release that is bad: its alarm stands
    let name = "tf-forward";
    let world = World::load().await?;
    let alarm = Alarm::put(&world, "tf-forward-5xx", name, "notBreaching").await?;
    let more = format!("alarms = [\"{}\"]\n", alarm.name);
    let scene = Scene::new(name, &steps(name, &[(50, "10s")], &more), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    alarm.errors().await?;
    alarm.until(StateValue::Alarm).await?;
    // When its fix is pushed, then it waits, and says for what
    let second = scene.push_good(2).await?;
    let waiting = until_row(&scene.world, name, "dev", PATIENCE, |row| {
        row.under_way()
            .is_some_and(|rollout| rollout.phase == Phase::Starting)
    });
    waiting.await?;
    until("the reason", PATIENCE, || async {
        let said = scene.ana.run(&["status", name]).await?;
        Ok(if said.contains(&alarm.name) {
            Ok(())
        } else {
            Err(said)
        })
    })
    .await?;
    // And when a person says that it goes forward in spite of that alarm, it gets all traffic
    scene
        .ana
        .run(&["abort", name, "dev", "--reason", "first the alarm"])
        .await?;
    scene
        .promote(&["--despite", &alarm.name, "--reason", "this mends it"], 2)
        .await?;
    scene.until_live(2).await?;
    ensure!(
        alarm.state().await? == StateValue::Alarm,
        "the alarm did not stand all the time"
    );
    ensure!(scene.events("alarm_blamed", 2).await?.is_empty(), "it was blamed");
    scene
        .assert_traffic(2, &[&first, &second], &[0.0, 50.0, 100.0])
        .await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn the_old_track_keeps_its_pods_until_the_weights_are_served_and_the_watch_is_over() -> Result<()> {
    // Given a router that follows late, and a watch
    let name = "tf-old";
    let world = World::load().await?;
    let alarm = Alarm::put(&world, "tf-old-5xx", name, "notBreaching").await?;
    let more = format!("alarms = [\"{}\"]\nwatch = \"15s\"\n", alarm.name);
    let mut scene = Scene::new(name, &steps(name, &[(50, LONG)], &more), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    scene.routers("sluice.sim/lag", "2s").await?;
    // When a release comes that brings another number of pods too
    scene.options.replicas = 3;
    scene.service.apply(&scene.ana, &scene.options).await?;
    let second = scene.hurry(2).await?;
    // Then it has as many as it asks for, and what lost the traffic keeps its own as long as the release is watched
    let (blue, green) = (scene.on(Track::Blue), scene.on(Track::Green));
    let left = replicas(&scene.service, &blue).await?;
    ensure!(left >= 2, "blue has {left}");
    ensure!(replicas(&scene.service, &green).await? == 3);
    let cold = until("the end of the watch", PATIENCE, || async {
        let watched = scene.row().await?.watch.is_some();
        sweep(&scene.world, name).await?;
        let now = replicas(&scene.service, &blue).await?;
        if watched && now < left && scene.row().await?.watch.is_some() {
            anyhow::bail!("blue was asked for {now} pods while #2 is watched");
        }
        Ok(if now == 0 {
            Ok(())
        } else {
            Err(format!("{now} pods"))
        })
    });
    cold.await?;
    ensure!(scene.row().await?.watch.is_none());
    scene
        .assert_traffic(2, &[&first, &second], &[0.0, 50.0, 100.0])
        .await?;
    // And what is cold comes back only with its pods ready
    scene.ana.run(&["rollback", name, "dev"]).await?;
    scene.until_live(1).await?;
    assert_pointed(&scene.service, "blue").await?;
    scene
        .assert_traffic(2, &[&first, &second], &[0.0, 50.0, 100.0, 0.0])
        .await?;
    alarm.delete().await?;
    scene.done().await
}

#[tokio::test]
async fn an_abort_that_races_with_full_traffic_has_one_end() -> Result<()> {
    let name = "tf-race";
    let scene = Scene::new(name, &steps(name, &[(10, LONG), (50, LONG)], ""), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    let second = scene.push_good(2).await?;
    scene.until_baking(2).await?;
    // When one person aborts a release and another one gives it all traffic
    let aborting = ["abort", name, "dev", "--reason", "it looks bad"];
    let hurrying = ["promote", name, "dev", "2", "--full", "--reason", "it looks good"];
    let (abort, full) = tokio::join!(scene.ana.sluice(&aborting), scene.ana.sluice(&hurrying));
    let (abort, full) = (abort?, full?);
    // Then who aborted has the last word, unless it was too late and the command said so
    let walked: &[f64] = if abort.status == 0 {
        until_state(&scene.ana, name, "dev", 2, "aborted").await?;
        scene.until_live(1).await?;
        assert_pointed(&scene.service, "blue").await?;
        &[0.0, 10.0, 0.0]
    } else {
        ensure!(full.status == 0, "neither was done: {abort:?}, {full:?}");
        scene.until_live(2).await?;
        assert_pointed(&scene.service, "green").await?;
        &[0.0, 10.0, 100.0]
    };
    if let Err(error) = scene.assert_traffic(2, &[&first, &second], walked).await {
        // All traffic was there already when the abort came.
        scene
            .assert_traffic(2, &[&first, &second], &[0.0, 10.0, 100.0, 0.0])
            .await
            .context(error)?;
    }
    scene.done().await
}

#[tokio::test]
async fn a_late_or_repeated_step_neither_skips_nor_repeats_anything() -> Result<()> {
    // Given a canary in the bake of its second step
    let name = "tf-stale";
    let scene = Scene::new(name, &steps(name, &[(10, "10s"), (50, "10s")], ""), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    let second = scene.push_good(2).await?;
    let before = until_row(&scene.world, name, "dev", PATIENCE, |row| {
        row.under_way().is_some_and(|rollout| {
            let traffic = rollout.traffic.as_deref();
            rollout.phase == Phase::Baking && traffic.is_some_and(|traffic| traffic.stage == 1)
        })
    })
    .await?;
    let rollout = before.under_way().context("nothing is under way")?.clone();
    let step = |step: u32| {
        let work = json!({"service": name, "environment": "dev", "release": 2, "attempt": 1});
        json!({"work": work, "execution": rollout.owner.as_str(), "step": step})
    };
    // When its earlier steps arrive once more, then they are told so
    let recorded = rollout.step.context("a bake has a step")?;
    for late in [0, recorded.saturating_sub(1)] {
        let (said, failed) = act::invoke(&scene.world, "advance-rollout", &step(late)).await?;
        ensure!(failed.as_deref() == Some("Preempted"), "step {late}: {said}");
    }
    // And the present one, many times at once, sleeps on
    let again = step(recorded);
    let present = (0..4).map(|_| act::invoke(&scene.world, "advance-rollout", &again));
    for said in join_all(present).await {
        let (said, failed) = said?;
        ensure!(
            failed.is_none() && said.get("next").is_some_and(|next| next == "bake"),
            "{said}"
        );
    }
    let after = scene.row().await?;
    ensure!(
        after.v == before.v && after.ledger == before.ledger,
        "somebody wrote"
    );
    // And each step is done once
    scene.until_live(2).await?;
    let shifted = scene.events("traffic_shifted", 2).await?;
    ensure!(shifted.len() == 3, "{shifted:?}");
    scene
        .assert_traffic(2, &[&first, &second], &[0.0, 10.0, 50.0, 100.0])
        .await?;
    scene.done().await
}

#[tokio::test]
async fn a_way_back_to_pods_that_are_gone_waits_for_them() -> Result<()> {
    // Given a release that is kept warm, whose pods take their time
    let name = "tf-evicted";
    let world = World::load().await?;
    let alarm = Alarm::put(&world, "tf-evicted-5xx", name, "notBreaching").await?;
    let more = format!("alarms = [\"{}\"]\nwatch = \"10m\"\n", alarm.name);
    let scene = Scene::new(name, &steps(name, &[(50, LONG)], &more), 3).await?;
    let slow = Image::new("tf-evicted 1").label("sluice.sim/ready-after", "3s");
    let first = scene.push(&slow, 1).await?;
    scene.until_live(1).await?;
    let second = scene.hurry(2).await?;
    // When they are evicted, and a rollback comes at the same moment
    scene.evict(Track::Blue).await?;
    scene.ana.run(&["rollback", name, "dev"]).await?;
    // Then the traffic goes back to all of them, and not before they are ready
    scene.until_live(1).await?;
    assert_pointed(&scene.service, "blue").await?;
    scene
        .assert_traffic(3, &[&first, &second], &[0.0, 50.0, 100.0, 0.0])
        .await?;
    alarm.delete().await?;
    scene.done().await
}

/// The statuses that the sweep's writes of a Deployment were answered with.
fn answers(world: &World, path: &str) -> Result<Vec<u64>> {
    let text = std::fs::read_to_string(&world.local.calls_log)?;
    // The last line may be half written.
    let calls = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |call: &Value, key: &str| {
        call.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mine = calls.filter(|call| {
        text(call, "function").ends_with("-sweep")
            && text(call, "method") == "PATCH"
            && text(call, "path").contains(path)
    });
    Ok(mine.filter_map(|call| call.get("status")?.as_u64()).collect())
}

#[tokio::test]
async fn a_scale_down_that_comes_late_does_not_take_a_newer_release_its_pods() -> Result<()> {
    // Given a track that gives its pods back, and the write that does so is on its way
    let name = "tf-late";
    let scene = Scene::new(name, &steps(name, &[(50, LONG)], ""), 2).await?;
    let first = scene.push_good(1).await?;
    scene.until_live(1).await?;
    let place = scene.service.place("dev")?.clone();
    let path = format!(
        "/namespaces/{}/deployments/{}",
        place.namespace,
        scene.on(Track::Blue)
    );
    let rule = Rule::kubernetes(&place.cluster, "PATCH", &path)
        .function("sweep")
        .then(Action::HoldBefore);
    scene.world.local.faults().add(rule.clone()).await?;
    let second = scene.hurry(2).await?;
    let sweeping = {
        let world = scene.world.clone();
        tokio::spawn(async move { sweep(&world, "tf-late").await })
    };
    let late = held(&scene.world, &rule, name).await?;
    // When a newer release begins on that track, and only then the write arrives
    let third = scene.push_good(3).await?;
    until_written_on(&scene, Track::Blue, &third.digest).await?;
    scene.world.local.faults().release(&late).await?;
    // Then the API server refuses it, and the sweep makes nothing of that
    until("the late write's answer", PATIENCE, || async {
        let found = answers(&scene.world, &path)?;
        Ok(if found.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(found)
        })
    })
    .await
    .and_then(|found| {
        ensure!(found == [403], "the late write was answered {found:?}");
        Ok(())
    })?;
    sweeping.await??;
    // And the newer release gets all traffic
    scene.until_baking(3).await?;
    scene
        .promote(&["--full", "--reason", "a test is in a hurry"], 3)
        .await?;
    scene.until_live(3).await?;
    ensure!(replicas(&scene.service, &scene.on(Track::Blue)).await? == 2);
    scene
        .assert_traffic(2, &[&first, &second, &third], &[0.0, 50.0, 100.0, 50.0, 0.0])
        .await?;
    scene.done().await
}

/// Waits until there are pods of this image on a track.
async fn until_written_on(scene: &Scene, track: Track, digest: &str) -> Result<()> {
    let place = scene.service.place("dev")?;
    let label = format!("sluice.dev/track={track}");
    until(&format!("pods on {digest}"), PATIENCE, || async {
        let found = running(&scene.world, &place.cluster, &place.namespace, &label).await?;
        let there = found.specs.iter().any(|image| image.ends_with(digest));
        Ok(if there { Ok(()) } else { Err(format!("{found:?}")) })
    })
    .await
}

/// What was there before Sluice: a Deployment and its Service, as somebody applied them.
async fn by_hand(service: &Delivered, image: &str) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let name = service.name.as_str();
    let labels = json!({ "app": name });
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "api", "image": image}]}}}});
    let exposed = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"port": 80}]}});
    let apply = PatchParams::apply("somebody");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    deployments.patch(name, &apply, &Patch::Apply(deployment)).await?;
    let services: Api<Service> = Api::namespaced(client, &namespace);
    services.patch(name, &apply, &Patch::Apply(exposed)).await?;
    until("what was there before", PATIENCE, || async {
        let found = deployments.get(name).await?.status.unwrap_or_default();
        let ready = found.available_replicas.unwrap_or(0);
        Ok(if ready == 2 {
            Ok(())
        } else {
            Err(format!("{ready} pods"))
        })
    })
    .await
}

#[tokio::test]
async fn a_first_canary_that_failed_gives_its_pods_back() -> Result<()> {
    // Given a workload that was there before Sluice
    let name = "tf-first";
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = Options {
        exposed: true,
        environment: steps(name, &[(50, LONG)], ""),
        ..Options::default()
    };
    let service = Delivered::unapplied(&world, name, &options).await?;
    let before = service.push(&Image::new("tf-first before"), &["before"]).await?;
    let image = format!("{}/{name}@{}", world.local.registry_host(), before.digest);
    by_hand(&service, &image).await?;
    crate::service::route(&service, name).await?;
    service.apply(&ana, &options).await?;
    let scene = Scene {
        world,
        ana,
        service,
        options,
    };
    // When the first release that comes to a track is aborted while it has traffic
    let first = scene.push_good(1).await?;
    scene.until_baking(1).await?;
    scene
        .ana
        .run(&["abort", name, "dev", "--reason", "it looks bad"])
        .await?;
    until_state(&scene.ana, name, "dev", 1, "aborted").await?;
    // Then its pods go, also though no track was ever live, and what was there before has its own
    let blue = scene.on(Track::Blue);
    until("blue without pods", PATIENCE, || async {
        sweep(&scene.world, name).await?;
        let now = replicas(&scene.service, &blue).await?;
        Ok(if now == 0 {
            Ok(())
        } else {
            Err(format!("{now} pods"))
        })
    })
    .await?;
    ensure!(replicas(&scene.service, name).await? == 2);
    scene.assert_traffic(2, &[&before, &first], &[0.0]).await?;
    // And the next one comes to that track
    let second = scene.hurry(2).await?;
    assert_pointed(&scene.service, "blue").await?;
    scene
        .assert_traffic(2, &[&before, &first, &second], &[0.0])
        .await?;
    scene.done().await
}
