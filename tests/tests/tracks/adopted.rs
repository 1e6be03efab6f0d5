//! What was there before there were tracks: taken over, and gone back to.

use crate::service::{apply, assert_pointed, history, object, options, pointed, replicas, route};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sluice_local::image::{Image, Pushed};
use sluice_tests::rows::until_row;
use sluice_tests::seen::PATIENCE;
use sluice_tests::service::{Delivered, Options};
use sluice_tests::traffic::{Course, History, RouterKind};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};

/// What somebody made with kubectl: a Deployment and its Service.
async fn made_by_hand(service: &Delivered, image: &str) -> Result<()> {
    let name = &service.name;
    let labels = json!({"app": name});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                         "spec": {"containers": [{"name": "api", "image": image}]}}}});
    apply(service, "kubectl", &deployment).await?;
    let root = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"port": 80}]}});
    apply(service, "kubectl", &root).await?;
    until(&format!("the pods of {name}"), PATIENCE, || async {
        let found = object(service, "apps", "v1", "Deployment", name).await?;
        let available = found.pointer("/status/availableReplicas").cloned();
        Ok(if available == Some(json!(2)) {
            Ok(())
        } else {
            Err(format!("{available:?}"))
        })
    })
    .await
}

/// Waits until both pods that were made by hand are what the service's routers serve; the revision at which they were.
async fn until_served(world: &World, service: &Delivered, kinds: &[RouterKind]) -> Result<u64> {
    until("what was made by hand is served", PATIENCE, || async {
        let happened = history(world, service).await?;
        let last = happened.moments.last().context("nothing happened")?;
        let served = kinds.iter().all(|kind| {
            let mut ours = last
                .routers
                .iter()
                .filter(|one| one.kind == *kind && one.name == service.name);
            ours.any(|one| one.served.iter().any(|share| share.ready == 2))
        });
        Ok(if served {
            Ok(last.revision)
        } else {
            Err(format!("{:?}", last.routers))
        })
    })
    .await
}

/// A service that runs with what was made by hand, and has become Sluice's since.
struct Adopted {
    service: Delivered,
    /// What was pushed by hand.
    before: Pushed,
    /// The revision at which that was served.
    begun: u64,
}

impl Adopted {
    /// With these lines of its environment, and these routers: a route among them is made by hand as well.
    async fn new(world: &World, ana: &Person, name: &str, lines: &str, kinds: &[RouterKind]) -> Result<Self> {
        let adopted = Options {
            exposed: false,
            adopted: true,
            ..options(lines, 2)
        };
        let service = Delivered::unapplied(world, name, &adopted).await?;
        let image = Image::new(&format!("{name} by hand"));
        let before = service.push(&image, &["by-hand"]).await?;
        let image = format!("{}/{name}@{}", world.local.registry_host(), before.digest);
        made_by_hand(&service, &image).await?;
        if kinds.contains(&RouterKind::HttpRoute) {
            route(&service, name).await?;
        }
        let begun = until_served(world, &service, kinds).await?;
        service.apply(ana, &adopted).await?;
        Ok(Self {
            service,
            before,
            begun,
        })
    }

    /// What has happened since then.
    async fn happened(&self, world: &World) -> Result<History> {
        let happened = history(world, &self.service).await?;
        Ok(happened.between(self.begun, u64::MAX))
    }

    /// How a router of its name went through that: never to pods that were not ready, and to these images and those of before
    /// alone.
    fn course<'h>(&self, happened: &'h History, kind: RouterKind, since: &[&Pushed]) -> Result<Course<'h>> {
        let course = happened.of(kind, &self.service.name)?;
        course.assert_no_dead_shift(|_| 2)?;
        course.assert_no_dead_weight(|_| 1)?;
        let all = std::iter::once(&self.before).chain(since.iter().copied());
        let digests: Vec<&str> = all.map(|pushed| pushed.digest.as_str()).collect();
        course.assert_only(&digests)?;
        Ok(course)
    }
}

#[tokio::test]
async fn a_running_deployment_is_adopted_onto_a_track_and_can_be_gone_back_to() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-adopt";
    let lines = format!(
        "strategy = {{ blue_green = {{ router = {{ http_route = \"{name}\" }}, service = \"{name}\" }} }}\n"
    );
    // Given a Deployment, a Service and a route that Sluice knows nothing of
    let kinds = [RouterKind::HttpRoute, RouterKind::Service];
    let adopted = Adopted::new(&world, &ana, name, &lines, &kinds).await?;
    let service = &adopted.service;
    // When the first release is pushed, then it comes to a track, and the old one keeps running
    let first = service.deliver(&ana, 1).await?;
    assert_pointed(service, "blue").await?;
    ensure!(replicas(service, name).await? == 2, "it is kept warm");
    // And the next one finds a track
    let second = service.deliver(&ana, 2).await?;
    assert_pointed(service, "green").await?;
    let happened = adopted.happened(&world).await?;
    for kind in kinds {
        let course = adopted.course(&happened, kind, &[&first, &second])?;
        ensure!(course.walk(&format!("{name}-blue")) == [0.0, 100.0, 0.0]);
        ensure!(course.walk(name) == [100.0, 0.0], "{:?}", course.walk(name));
    }
    service.cleanup().await
}

#[tokio::test]
async fn an_adopted_deployment_gets_its_traffic_back_while_it_is_warm() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-adopt-back";
    let lines = format!(
        "strategy = {{ blue_green = {{ router = \"service\", service = \"{name}\" }} }}\nwatch = \"10m\"\n"
    );
    let adopted = Adopted::new(&world, &ana, name, &lines, &[RouterKind::Service]).await?;
    let service = &adopted.service;
    let first = service.deliver(&ana, 1).await?;
    assert_pointed(service, "blue").await?;
    // When it is rolled back, then the Service selects what it selected before
    ana.run(&["rollback", name, "dev"]).await?;
    until_row(&world, name, "dev", PATIENCE, |row| {
        row.lease.is_none() && row.tracks.as_ref().is_some_and(|tracks| tracks.live.is_none())
    })
    .await?;
    ensure!(pointed(service).await?.is_none());
    let happened = adopted.happened(&world).await?;
    let course = adopted.course(&happened, RouterKind::Service, &[&first])?;
    ensure!(
        course.walk(name) == [100.0, 0.0, 100.0],
        "{:?}",
        course.walk(name)
    );
    service.cleanup().await
}
