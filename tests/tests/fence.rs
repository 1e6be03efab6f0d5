//! Who lost an environment, or comes late, changes nothing any more: the table and the API server themselves refuse it,
//! whatever the function believes. That an equal or lower fence is refused for the group as such is in
//! `cluster_write.rs`; here it is the functions in their roles.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_local::faults::{Action, Rule};
use sluice_local::image::Image;
use sluice_tests::act::{held, invoke};
use sluice_tests::seen::{PATIENCE, assert_runs, environment, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};
use tokio::sync::{Mutex, MutexGuard};

/// Tests of this file take all rules away when they are done with theirs.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

struct Scene {
    world: World,
    ana: Person,
    service: Delivered,
    /// The digest of release 1, where it was pushed.
    first: String,
    _turn: MutexGuard<'static, ()>,
}

/// A service with one environment.
async fn scene(name: &str, live: bool) -> Result<Scene> {
    let turn = ONE_AT_A_TIME.lock().await;
    let world = World::load().await?;
    world.local.faults().clear().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, name, &Options::default()).await?;
    let mut scene = Scene {
        world,
        ana,
        service,
        first: String::new(),
        _turn: turn,
    };
    if live {
        scene.first = scene.push(1).await?;
        until_live(&scene.ana, name, "dev", 1).await?;
    }
    Ok(scene)
}

impl Scene {
    async fn push(&self, number: u64) -> Result<String> {
        let image = Image::new(&format!("{} {number}", self.service.name));
        Ok(self
            .service
            .push(&image, &[&format!("{number:07}")])
            .await?
            .digest)
    }

    /// Calls that `advance-rollout` made for this operation and path, with the status that each was answered with.
    fn answers(&self, operation: &str, path: &str) -> Result<Vec<u64>> {
        let text = std::fs::read_to_string(&self.world.local.calls_log)?;
        // The last line may be half written.
        let calls = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of = |call: &Value, key: &str| {
            call.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mine = calls.filter(|call| {
            of(call, "function").ends_with("advance-rollout")
                && (of(call, "operation") == operation || of(call, "method") == operation)
                && of(call, "path").contains(path)
        });
        Ok(mine.filter_map(|call| call.get("status")?.as_u64()).collect())
    }

    /// What of the Deployment tells whether somebody wrote it.
    async fn pods_are_on_the_first(&self) -> Result<()> {
        let place = self.service.place("dev")?;
        assert_runs(
            &self.world,
            &place.cluster,
            &place.namespace,
            &self.service.name,
            &self.first,
        )
        .await?;
        Ok(())
    }

    fn step(&self, execution: &str, release: u64, step: u64) -> Value {
        let work =
            json!({"service": self.service.name, "environment": "dev", "release": release, "attempt": 1});
        json!({"work": work, "execution": execution, "step": step})
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_reaches_the_cluster_after_a_takeover_is_refused_there() -> Result<()> {
    // Given a rollout whose write to the cluster is on its way
    let scene = scene("fence-late", true).await?;
    let (world, name) = (&scene.world, scene.service.name.as_str());
    let place = scene.service.place("dev")?;
    let path = format!("/namespaces/{}/deployments/", place.namespace);
    let rule = Rule::kubernetes(&place.cluster, "PATCH", &path)
        .function("advance-rollout")
        .then(Action::HoldBefore);
    world.local.faults().add(rule.clone()).await?;
    let before = scene.answers("PATCH", &path)?.len();
    scene.push(2).await?;
    let late = held(world, &rule, name).await?;
    // When a rollback takes the environment over, and only then the write arrives
    scene.ana.run(&["rollback", name, "dev"]).await?;
    world.local.faults().release(&late).await?;
    // Then the API server's policy refuses it
    let answered = until("the late write's answer", PATIENCE, || async {
        let answers = scene.answers("PATCH", &path)?.split_off(before);
        Ok(if answers.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(answers)
        })
    })
    .await?;
    ensure!(answered == [403], "the late write was answered {answered:?}");
    // and the environment is what the rollback made of it; who came late is told why
    until_state(&scene.ana, name, "dev", 2, "preempted").await?;
    until_live(&scene.ana, name, "dev", 1).await?;
    scene.pods_are_on_the_first().await?;
    ensure!(
        scene.answers("PATCH", &path)?.split_off(before) == [403],
        "somebody who was preempted wrote again"
    );
    scene.ana.run(&["ledger", "verify", name, "dev"]).await?;
    scene.service.cleanup().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_reaches_the_table_after_a_takeover_is_refused_there() -> Result<()> {
    // Given a rollout of which every pod is up, and whose record of that is on its way
    let scene = scene("fence-record", true).await?;
    let (world, name) = (&scene.world, scene.service.name.as_str());
    let execution = format!("{name}-2-dev-1");
    // All tries are held: the client repeats a call that is not answered in time.
    let rule = Rule::aws("dynamodb", "TransactWriteItems")
        .function("advance-rollout")
        .body(&execution);
    let rule = rule.nth(2).times(0).then(Action::HoldBefore);
    world.local.faults().add(rule.clone()).await?;
    scene.push(2).await?;
    held(world, &rule, name).await?;
    // When a rollback takes the environment over, and only then the record arrives
    scene.ana.run(&["rollback", name, "dev"]).await?;
    held(world, &rule, name).await?;
    let before = scene.answers("TransactWriteItems", "/")?.len();
    world.local.faults().clear().await?;
    // Then the table refuses it, by the condition on what was read
    let answered = until("the late record's answer", PATIENCE, || async {
        let answers = scene.answers("TransactWriteItems", "/")?.split_off(before);
        Ok(if answers.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(answers)
        })
    })
    .await?;
    ensure!(
        answered.first() == Some(&400),
        "the late record was answered {answered:?}"
    );
    // and the environment is what the rollback made of it
    until_state(&scene.ana, name, "dev", 2, "preempted").await?;
    until_live(&scene.ana, name, "dev", 1).await?;
    scene.pods_are_on_the_first().await?;
    let exported = scene.ana.run(&["ledger", "export", name, "dev"]).await?;
    let verified = exported
        .lines()
        .filter(|line| line.contains("rollout_verified") && line.contains(&execution))
        .count();
    ensure!(verified == 0, "what came late is in the ledger: {exported}");
    scene.ana.run(&["ledger", "verify", name, "dev"]).await?;
    scene.service.cleanup().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_repeat_of_an_earlier_step_changes_nothing() -> Result<()> {
    // Given a rollout that is verified, and whose completion is held: it has its lease still
    let scene = scene("fence-step", false).await?;
    let (world, name) = (&scene.world, scene.service.name.as_str());
    let rule = Rule::aws("dynamodb", "TransactWriteItems")
        .function("complete-rollout")
        .body(name);
    let rule = rule.times(0).then(Action::HoldBefore);
    world.local.faults().add(rule.clone()).await?;
    scene.push(1).await?;
    held(world, &rule, name).await?;
    let before = environment(&scene.ana, name, "dev").await?;
    let place = scene.service.place("dev")?;
    let path = format!("/namespaces/{}/", place.namespace);
    let writes = |scene: &Scene| -> Result<[usize; 3]> {
        let of = |operation: &str, path: &str| scene.answers(operation, path).map(|answers| answers.len());
        Ok([
            of("TransactWriteItems", "/")?,
            of("PATCH", &path)?,
            of("POST", &path)?,
        ])
    };
    let written = writes(&scene)?;
    // When its first step arrives once more, or a step of somebody who never had the lease
    let execution = format!("{name}-1-dev-1");
    for (holder, step) in [(execution.clone(), 0), (format!("{name}-9-dev-1"), 50)] {
        let (said, failed) = invoke(world, "advance-rollout", &scene.step(&holder, 1, step)).await?;
        // Then it is told that it comes late
        ensure!(
            failed.as_deref() == Some("Preempted"),
            "{holder}, step {step}: {said}"
        );
        let message = said
            .get("errorMessage")
            .and_then(Value::as_str)
            .context("an error has a message")?;
        ensure!(
            message.contains("comes late") || message.contains("does not hold"),
            "{message}"
        );
    }
    // and neither the table nor the cluster was written
    ensure!(
        writes(&scene)? == written,
        "a late step wrote: {:?}, before it {written:?}",
        writes(&scene)?
    );
    ensure!(
        environment(&scene.ana, name, "dev").await? == before,
        "the environment changed"
    );
    // while the present step, repeated, says what is recorded
    let (said, failed) = invoke(world, "advance-rollout", &scene.step(&execution, 1, 50)).await?;
    ensure!(
        failed.is_none() && said.get("next").is_some_and(|next| next == "done"),
        "{said}"
    );
    ensure!(writes(&scene)? == written, "a repeated step wrote");
    world.local.faults().clear().await?;
    until_live(&scene.ana, name, "dev", 1).await?;
    scene.service.cleanup().await
}
