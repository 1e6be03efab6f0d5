//! `checkout`, on two tracks: a canary, the way back from it, a bad one, blue-green, and an alarm afterwards. Its example's
//! own files are delivered, with bakes of seconds for minutes.

use crate::{indented, short};
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::Value;
use sluice_domain::environment::{Rollout, RolloutKind};
use sluice_domain::ids::ReleaseNumber;
use sluice_local::image::{Image, Pushed};
use sluice_tests::outside::{ledger, next_second};
use sluice_tests::report::Report;
use sluice_tests::rows::{row, until_row};
use sluice_tests::seen::{until_live, until_state};
use sluice_tests::traffic::{self, History, RouterKind};
use sluice_tests::world::{Said, root};
use sluice_tests::{Person, World};
use std::collections::BTreeSet;
use std::time::Duration;

const SERVICE: &str = "checkout";
const PLACE: &str = "production";
const CLUSTER: &str = "mc-prod-eks";
const EXAMPLE: &str = "examples/checkout";
/// For bakes of ten minutes; the alarm on errors needs some seconds to see a bad canary.
const BAKE: &str = "15s";
const LIMIT: Duration = Duration::from_secs(60);

/// Shows it.
pub async fn show(world: &World, report: &mut Report) -> Result<()> {
    let mut demo = Demo {
        world,
        ana: world.person("ana").await?,
        client: world.local.cluster(CLUSTER)?.admin().await?,
        first: None,
    };
    let say = "a good release gets 5, 25, 50 and then all of the traffic";
    report.step("canary", say, demo.canary()).await;
    let say = "one call gives the traffic back to pods that are still there";
    report.step("warm-rollback", say, demo.warm_rollback()).await;
    let say = "a release that makes errors raises an alarm, and loses its 5 %";
    report.step("bad-canary", say, demo.bad_canary()).await;
    let say = "the other strategy on the same tracks: all of the pods, then all of the traffic";
    report.step("blue-green", say, demo.blue_green()).await;
    let say = "an alarm after full traffic takes the release back";
    report.step("watch", say, demo.watch()).await;
    Ok(())
}

struct Demo<'a> {
    world: &'a World,
    ana: Person,
    client: Client,
    first: Option<Pushed>,
}

fn bake_until(rollout: &Rollout) -> Option<Timestamp> {
    rollout.traffic.as_ref()?.bake_until
}

/// A healthy image, or one of whose answers so many in a hundred are errors.
fn image(number: u32, errors: Option<&str>) -> Image {
    let image = Image::new(&format!("checkout {number}")).label("sluice.sim/requests-per-second", "200");
    match errors {
        Some(percent) => image.label("sluice.sim/error-rate", percent),
        None => image,
    }
}

impl Demo<'_> {
    async fn canary(&mut self) -> Result<String> {
        self.prepare().await?;
        self.apply("canary.toml").await?;
        let first = self.push(1, None).await?;
        until_live(&self.ana, SERVICE, PLACE, 1).await?;
        println!("   #1 is live: the first release has nothing to be compared with");
        let from = self.now().await?;
        let second = self.push(2, None).await?;
        self.follow(2).await?;
        let history = self.since(from).await?;
        let walk = assert_well(&history, "checkout-green", &[&first, &second])?;
        self.first = Some(first);
        ensure!(walk == [0.0, 5.0, 25.0, 50.0, 100.0], "it walked {walk:?}");
        Ok(format!(
            "{} has all of the traffic; at every revision of etcd, weight went only to pods that were ready",
            short(&second)
        ))
    }

    async fn warm_rollback(&self) -> Result<String> {
        let before = self.pods("blue").await?;
        let from = self.now().await?;
        println!("   $ sluice rollback {SERVICE} {PLACE} --reason 'the basket loses things'");
        let said = self
            .ana
            .run(&["rollback", SERVICE, PLACE, "--reason", "the basket loses things"])
            .await?;
        println!("{}", indented(&said));
        until_live(&self.ana, SERVICE, PLACE, 1).await?;
        let after = self.pods("blue").await?;
        ensure!(
            before == after && !before.is_empty(),
            "pods were {before:?}, and are {after:?}"
        );
        let history = self.since(from).await?;
        let walk = history.of(RouterKind::HttpRoute, SERVICE)?.walk("checkout-blue");
        ensure!(walk == [0.0, 100.0], "blue's weight went through {walk:?}");
        Ok(format!(
            "#1 has all of the traffic again, by one write: the same {} pods as before, none started",
            after.len()
        ))
    }

    async fn bad_canary(&self) -> Result<String> {
        let from = self.now().await?;
        let third = self.push(3, Some("60")).await?;
        // The alarm may end it before the row is read with a bake in it.
        let baking_or_back = until_row(self.world, SERVICE, PLACE, LIMIT, |row| {
            row.rollout.as_ref().is_some_and(|rollout| match rollout.kind {
                RolloutKind::Promotion { .. } => bake_until(rollout).is_some(),
                RolloutKind::Rollback { leaving, .. } => leaving == Some(ReleaseNumber(3)),
            })
        })
        .await?;
        let until = baking_or_back.rollout.as_ref().and_then(bake_until);
        if let Some(until) = until {
            println!("   5 % of the traffic meets #3 until {until}, and 60 of 100 answers are errors");
        }
        let failed = until_state(&self.ana, SERVICE, PLACE, 3, "failed").await?;
        let reason = text(&failed, "/reason");
        ensure!(
            reason.contains("checkout-errors"),
            "the reason names no alarm: {reason}"
        );
        let back = self.back_at().await?;
        ensure!(
            until.is_none_or(|until| back < until),
            "the traffic was back at {back}, after {until:?}"
        );
        until_live(&self.ana, SERVICE, PLACE, 1).await?;
        let history = self.since(from).await?;
        let route = history.of(RouterKind::HttpRoute, SERVICE)?;
        route.assert_no_dead_shift(|_| 1)?;
        route.assert_never_above("checkout-green", 5.0)?;
        ensure!(route.digests().contains(&third.digest), "#3 never had traffic");
        let early = match until {
            Some(until) => format!("{} s before the bake's end", until.duration_since(back).as_secs()),
            None => "before the bake had begun".to_owned(),
        };
        Ok(format!(
            "#1 has all of it again, {early}; #3 never had more than 5 %: {reason}"
        ))
    }

    async fn blue_green(&self) -> Result<String> {
        self.apply("blue-green.toml").await?;
        let from = self.now().await?;
        let fourth = self.push(4, None).await?;
        self.follow(4).await?;
        let history = self.since(from).await?;
        let first = self.first.as_ref().context("there was no #1")?;
        let walk = assert_well(&history, "checkout-green", &[first, &fourth])?;
        ensure!(walk == [0.0, 100.0], "it walked {walk:?}");
        let preview = history.of(RouterKind::Service, "checkout-preview")?;
        ensure!(
            preview.digests().contains(&fourth.digest),
            "Service checkout-preview never showed #4"
        );
        Ok("Service checkout-preview showed #4 on all of its pods; then it had all of the traffic, by one write".to_owned())
    }

    async fn watch(&self) -> Result<String> {
        ensure!(
            row(self.world, SERVICE, PLACE).await?.watch.is_some(),
            "#4 is not watched"
        );
        println!("   $ aws cloudwatch put-metric-data --metric-name PaymentsFailed --value 9 ...");
        self.aws(&[
            "cloudwatch",
            "put-metric-data",
            "--namespace",
            "Checkout",
            "--metric-name",
            "PaymentsFailed",
            "--dimensions",
            "Environment=production",
            "--value",
            "9",
        ])
        .await?;
        until_live(&self.ana, SERVICE, PLACE, 1).await?;
        let told = ledger(&self.ana, SERVICE, PLACE).await?;
        let blamed = told
            .iter()
            .rev()
            .find(|one| text(one, "/event") == "alarm_blamed");
        let reason = text(blamed.context("the ledger blames no alarm")?, "/reason");
        ensure!(
            reason.contains("checkout-payments"),
            "another alarm is blamed: {reason}"
        );
        println!("   $ sluice status {SERVICE}");
        println!("{}", indented(&self.ana.run(&["status", SERVICE]).await?));
        Ok(format!(
            "#1 has all of the traffic again, and nobody was asked: {reason}"
        ))
    }

    /// What the platform's people make once: a repository, a route, alarms.
    async fn prepare(&self) -> Result<()> {
        let ecr = aws_sdk_ecr::Client::new(&self.world.config);
        ecr.create_repository().repository_name(SERVICE).send().await?;
        println!("   $ kubectl apply --filename {EXAMPLE}/platform/route.yaml");
        let manifest = std::fs::read_to_string(root().join(EXAMPLE).join("platform/route.yaml"))?;
        let manifest: Value = serde_saphyr::from_str(&manifest)?;
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let routes: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), PLACE, &ApiResource::from_gvk(&kind));
        routes
            .patch(SERVICE, &PatchParams::apply("kubectl"), &Patch::Apply(&manifest))
            .await?;
        for alarm in ["alarm-errors.json", "alarm-payments.json"] {
            let file = format!("file://{EXAMPLE}/platform/{alarm}");
            println!("   $ aws cloudwatch put-metric-alarm --cli-input-json {file}");
            self.aws(&["cloudwatch", "put-metric-alarm", "--cli-input-json", &file])
                .await?;
        }
        Ok(())
    }

    /// Publishes a pipeline of the example, with shorter bakes.
    async fn apply(&self, file: &str) -> Result<()> {
        let text = std::fs::read_to_string(root().join(EXAMPLE).join(file))?;
        let shorter = text.replace("bake = \"10m\"", &format!("bake = \"{BAKE}\""));
        let folder = root().join("target/demo");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(file).display().to_string();
        std::fs::write(&path, shorter)?;
        println!("   $ sluice apply {EXAMPLE}/{file} (here, bakes are {BAKE} long)");
        let root = root().display().to_string();
        let said = self.ana.run(&["apply", &path, "--root", &root]).await?;
        println!("{}", indented(&said));
        Ok(())
    }

    async fn push(&self, number: u32, errors: Option<&str>) -> Result<Pushed> {
        // ECR knows seconds: a push in the second of a rollback's hold is none that comes after it.
        next_second().await?;
        let tag = number.to_string().repeat(7);
        println!("   $ docker push .../{SERVICE}:{tag}");
        self.world.push(SERVICE, &image(number, errors), &[&tag]).await
    }

    /// Says what share of the traffic a release has, until it is live.
    async fn follow(&self, number: u64) -> Result<()> {
        let mut last = None;
        loop {
            let found = until_row(self.world, SERVICE, PLACE, LIMIT, |row| shown(row) != last).await?;
            last = shown(&found);
            match &last {
                Some(said) => println!("   {said}"),
                None if found.lease.is_none() => break,
                None => {}
            }
        }
        until_live(&self.ana, SERVICE, PLACE, number).await?;
        Ok(())
    }

    /// When the traffic was back, as the ledger has it.
    async fn back_at(&self) -> Result<Timestamp> {
        let told = ledger(&self.ana, SERVICE, PLACE).await?;
        let failed = told
            .iter()
            .rev()
            .find(|one| text(one, "/event").ends_with("failed"));
        let at = text(failed.context("the ledger has no failure")?, "/at");
        at.parse().with_context(|| format!("no time: {at}"))
    }

    async fn pods(&self, track: &str) -> Result<BTreeSet<String>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), PLACE);
        let labels = format!("sluice.dev/track={track}");
        let found = pods.list(&ListParams::default().labels(&labels)).await?;
        let of_it = found.iter().filter(|pod| pod.name_any().starts_with(SERVICE));
        Ok(of_it.map(ResourceExt::name_any).collect())
    }

    async fn now(&self) -> Result<u64> {
        traffic::now(&self.world.local, CLUSTER).await
    }

    async fn since(&self, from: u64) -> Result<History> {
        let history = traffic::history(&self.world.local, CLUSTER, PLACE).await?;
        Ok(history.between(from, u64::MAX))
    }

    /// Runs the AWS CLI as an administrator, in the checkout.
    async fn aws(&self, arguments: &[&str]) -> Result<()> {
        let output = tokio::process::Command::new(self.world.local.sam_bin.join("aws"))
            .args(arguments)
            .current_dir(root())
            .envs(self.world.local.variables())
            .kill_on_drop(true)
            .output()
            .await?;
        Said::of(&output).well().context("the AWS CLI")?;
        Ok(())
    }
}

/// What a row says of the traffic.
fn shown(row: &sluice_domain::environment::Environment) -> Option<String> {
    let rollout = row.under_way()?;
    let traffic = rollout.traffic.as_ref()?;
    let (to, weights) = (traffic.to?, traffic.weights?);
    let release = rollout.release?;
    let baked = match traffic.bake_until {
        Some(_) => format!(", baked for {BAKE}"),
        None => String::new(),
    };
    Some(format!("{release} on {to}: {weights}{baked}"))
}

/// No weight without ready pods, and nothing but these releases and what was there before; the weights that the track had.
fn assert_well(history: &History, backend: &str, pushed: &[&Pushed]) -> Result<Vec<f64>> {
    let digests: Vec<&str> = pushed.iter().map(|one| one.digest.as_str()).collect();
    for kind in [RouterKind::HttpRoute, RouterKind::Service] {
        let course = history.of(kind, SERVICE)?;
        course.assert_no_dead_shift(|_| 1)?;
        course.assert_only(&digests)?;
    }
    Ok(history.of(RouterKind::HttpRoute, SERVICE)?.walk(backend))
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
