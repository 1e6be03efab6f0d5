//! Executions that Step Functions says have timed out. The local Step Functions times no execution out as a whole: one is
//! stopped here, and what `DescribeExecution` answers about it is changed on the way to what AWS answers.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sluice_local::faults::{Action, Rule};
use sluice_local::image::Image;
use sluice_tests::outside::{ended, stop, sweep};
use sluice_tests::seen::{running, until_asked, until_live, until_state, until_written};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::{Person, World};

struct Scene {
    world: World,
    ana: Person,
    service: Delivered,
}

impl Scene {
    async fn new(name: &str, approval: bool) -> Result<Self> {
        let world = World::load().await?;
        let options = Options {
            approval,
            timeout: "10m".into(),
            ..Options::default()
        };
        Ok(Self {
            ana: world.person("ana").await?,
            service: Delivered::new(&world, name, &options).await?,
            world,
        })
    }

    /// Ends the execution of a release's promotion as if by its own time-out, and lets the sweep hear of it.
    async fn time_out(&self, release: u64) -> Result<()> {
        let name = format!("{}-{release}-dev-1", self.service.name);
        let machine = self.world.local.sluice()?.state_machines.get("promotion");
        let machine = machine.context("there is a machine of promotions")?;
        let arn = format!("{}:{name}", machine.replace(":stateMachine:", ":execution:"));
        // The answer of AWS for one that timed out: `error` and `cause` are only there for one that failed.
        let answer = json!({"executionArn": arn, "stateMachineArn": machine, "name": name, "status": "TIMED_OUT",
            "startDate": 1_795_000_000.5, "stopDate": 1_795_086_400.5, "redriveCount": 0, "input": "{}"});
        let rule = Rule::aws("states", "DescribeExecution")
            .function("sweep")
            .body(&name)
            .times(0);
        let told = Action::Error {
            status: 200,
            body: answer.to_string(),
        };
        let faults = self.world.local.faults();
        faults.add(rule.then(told.clone())).await?;
        stop(&self.world, "promotion", &name).await?;
        ended(&self.world, "promotion", &name).await?;
        sweep(&self.world, &self.service.name).await?;
        let fired = faults.fired().await?;
        ensure!(
            fired.iter().any(|fired| fired.action == told),
            "nobody asked how {name} ended"
        );
        Ok(())
    }

    async fn pods(&self) -> Result<usize> {
        let place = self.service.place("dev")?;
        let app = format!("app={}", self.service.name);
        Ok(running(&self.world, &place.cluster, &place.namespace, &app)
            .await?
            .pods)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_timed_out_before_its_first_write_is_aborted() -> Result<()> {
    // Given a promotion that waits for approval
    let scene = Scene::new("t-late-before", true).await?;
    let (ana, name) = (&scene.ana, scene.service.name.as_str());
    scene
        .service
        .push(&Image::new("late before 1"), &["1111111"])
        .await?;
    until_asked(ana, name, "dev", 1).await?;
    // When its execution times out
    scene.time_out(1).await?;
    // Then it is over, the row says why, nothing was written, and the next push is asked about
    let over = until_state(ana, name, "dev", 1, "aborted").await?;
    let reason = over.get("reason").and_then(|reason| reason.as_str());
    ensure!(
        reason.is_some_and(|reason| reason.contains("timed out")),
        "{over}"
    );
    ensure!(scene.pods().await? == 0, "somebody wrote the cluster");
    scene
        .service
        .push(&Image::new("late before 2"), &["2222222"])
        .await?;
    until_asked(ana, name, "dev", 2).await?;
    scene.service.cleanup().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_timed_out_after_its_first_write_is_undone() -> Result<()> {
    // Given a release that is live, and one whose pods never get ready
    let scene = Scene::new("t-late-after", false).await?;
    let (ana, name) = (&scene.ana, scene.service.name.as_str());
    let good = scene.service.deliver(ana, 1).await?;
    let bad = Image::new("late after 2").label("sluice.sim/never-ready", "true");
    let bad = scene.service.push(&bad, &["2222222"]).await?;
    until_written(&scene.world, scene.service.place("dev")?, name, &bad.digest).await?;
    // When its execution times out
    scene.time_out(2).await?;
    // Then every pod is on what was live before
    until_live(ana, name, "dev", 1).await?;
    scene.service.assert_runs(&good).await?;
    until_state(ana, name, "dev", 2, "aborted").await?;
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    scene.service.cleanup().await
}
