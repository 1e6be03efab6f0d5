//! What a rollback brings back: the whole revision, from helm's history or from the recorded bundle.

use crate::delivery::{assert_pods, history};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use sluice_local::image::Pushed;
use sluice_tests::seen::until_live;
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::{Person, World};

/// What there is to bring back, byte for byte.
#[derive(Debug, PartialEq)]
struct Content {
    chart: String,
    values: String,
    manifest: String,
    config: Value,
}

struct Scene {
    world: World,
    ana: Person,
    service: Delivered,
    limit: u32,
}

/// Of each release another chart's version, other values, another ConfigMap.
fn options(number: u32, limit: u32) -> Options {
    let version = format!("apiVersion: v2\nname: hooks\nversion: 1.{number}.0\n");
    let more = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {{{{ .Release.Name }}}}-more}}\ndata: {{of: \"chart 1.{number}\", \
         text: \"a\\n  b\\n\"}}\n"
    );
    let values = format!("# release {number}\nmessage: \"number {number}\\n\"\nreplicaCount: {number}\n");
    let chart = Chart::own("hooks", &values);
    Options {
        helm: Some(Chart {
            workload: format!("{}history_limit = {limit}\n", chart.workload),
            ..chart
        }),
        files: vec![
            ("chart/Chart.yaml".into(), version),
            ("chart/templates/more.yaml".into(), more),
        ],
        ..Options::default()
    }
}

impl Scene {
    async fn new(name: &str, limit: u32) -> Result<Self> {
        let world = World::load().await?;
        Ok(Self {
            ana: world.person("ana").await?,
            service: Delivered::new(&world, name, &options(1, limit)).await?,
            world,
            limit,
        })
    }

    async fn deliver(&self, number: u32) -> Result<(Pushed, Content)> {
        self.service
            .apply(&self.ana, &options(number, self.limit))
            .await?;
        let pushed = self.service.deliver(&self.ana, number.into()).await?;
        Ok((pushed, self.content().await?))
    }

    async fn content(&self) -> Result<Content> {
        let service = &self.service;
        let get = |what: &'static str| async move {
            service.helm("dev", &["get", what, &service.name]).await?.well()
        };
        let (client, namespace) = service.admin("dev").await?;
        let maps = Api::<ConfigMap>::namespaced(client, &namespace);
        let mut config = serde_json::Map::new();
        for name in ["config", "more"] {
            let found = maps.get(&format!("{}-{name}", service.name)).await?;
            config.insert(name.into(), serde_json::to_value(found.data)?);
        }
        let told = history(service, "dev").await?;
        let chart = told.last().and_then(|last| last.get("chart")?.as_str());
        Ok(Content {
            chart: chart.context("no chart")?.to_owned(),
            values: get("values").await?,
            manifest: get("manifest").await?,
            config: config.into(),
        })
    }

    async fn back_to(&self, number: u32, pushed: &Pushed, wanted: &Content) -> Result<()> {
        let name = self.service.name.as_str();
        self.ana
            .run(&["rollback", name, "dev", "--to", &number.to_string()])
            .await?;
        until_live(&self.ana, name, "dev", number.into()).await?;
        assert_pods(&self.world, &self.service, "dev", &pushed.digest).await?;
        let found = self.content().await?;
        ensure!(found == *wanted, "{found:#?}\nis not\n{wanted:#?}");
        ensure!(found.chart == format!("hooks-1.{number}.0"), "{}", found.chart);
        Ok(())
    }
}

#[tokio::test]
async fn a_rollback_is_the_target_byte_for_byte() -> Result<()> {
    let scene = Scene::new("helm-bytes", 10).await?;
    let (first, one) = scene.deliver(1).await?;
    let (second, two) = scene.deliver(2).await?;
    let (_, three) = scene.deliver(3).await?;
    ensure!(one.manifest != two.manifest && two.config != three.config && one.values != three.values);
    scene.back_to(1, &first, &one).await?;
    scene.back_to(2, &second, &two).await?;
    let told = history(&scene.service, "dev").await?;
    ensure!(told.len() == 5, "{told:?}");
    scene.service.cleanup().await
}

#[tokio::test]
async fn what_helm_has_forgotten_comes_from_the_bundle() -> Result<()> {
    let scene = Scene::new("helm-forgotten", 2).await?;
    let (first, one) = scene.deliver(1).await?;
    let (second, two) = scene.deliver(2).await?;
    for number in 3..=4 {
        scene.deliver(number).await?;
    }
    // Given a history that has neither of the first two
    let told = history(&scene.service, "dev").await?;
    let charts: Vec<&str> = told.iter().filter_map(|one| one.get("chart")?.as_str()).collect();
    ensure!(charts == ["hooks-1.3.0", "hooks-1.4.0"], "{charts:?}");
    scene.back_to(1, &first, &one).await?;
    scene.back_to(2, &second, &two).await?;
    // And a release follows it as any other
    scene.deliver(5).await?;
    scene.service.cleanup().await
}
