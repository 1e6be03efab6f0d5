//! A service whose dev has checks, and what can be seen of it.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde_json::Value;
use sluice_domain::check::CheckRun;
use sluice_domain::environment::Environment;
use sluice_local::image::{Image, Pushed};
use sluice_tests::rows::{checks, until_row};
use sluice_tests::seen::{running, until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::{Person, World};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a check that never answers may take to be given up: 10 s of its own, a minute held, and room.
pub const GIVEN_UP: Duration = Duration::from_secs(240);

/// What delivers a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Manifests,
    Helm,
}

pub struct Scene {
    pub world: World,
    pub ana: Person,
    pub service: Delivered,
    by: By,
}

impl Scene {
    /// A service whose dev has these more keys, and these more files.
    pub async fn new(name: &str, by: By, keys: &str, files: &[(&str, &str)]) -> Result<Self> {
        let values = "message: one\nreplicaCount: 2\n";
        Self::with_chart(name, by, Chart::own("hooks", values), keys, files).await
    }

    pub async fn with_chart(
        name: &str,
        by: By,
        chart: Chart,
        keys: &str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let world = World::load().await?;
        let options = Options {
            helm: (by == By::Helm).then_some(chart),
            environment: format!("hold_for = \"20s\"\n{keys}\n"),
            files: files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
            ..Options::default()
        };
        Ok(Self {
            ana: world.person("ana").await?,
            service: Delivered::new(&world, name, &options).await?,
            world,
            by,
        })
    }

    /// The release's image of this number, with labels of `sluice.sim`.
    pub async fn push(&self, number: u64, labels: &[(&str, &str)]) -> Result<Pushed> {
        let image = Image::new(&format!("{} {number}", self.service.name));
        let image = labels.iter().fold(image, |image, (name, value)| {
            image.label(&format!("sluice.sim/{name}"), value)
        });
        self.service.push(&image, &[&format!("{number:07x}")]).await
    }

    pub async fn live(&self, number: u64) -> Result<()> {
        until_live(&self.ana, &self.service.name, "dev", number).await?;
        Ok(())
    }

    /// Why a promotion failed.
    pub async fn failed(&self, number: u64) -> Result<String> {
        let failed = until_state(&self.ana, &self.service.name, "dev", number, "failed").await?;
        let reason = failed.get("reason").and_then(Value::as_str);
        Ok(reason.context("a failure without a reason")?.to_owned())
    }

    pub async fn row(&self, wanted: impl Fn(&Environment) -> bool) -> Result<Environment> {
        until_row(&self.world, &self.service.name, "dev", GIVEN_UP, wanted).await
    }

    /// The last check of a release, once it has its answer.
    pub async fn answered(&self, release: u64) -> Result<CheckRun> {
        let row = self
            .row(|row| is_about(row, release) && checks(row).last().is_some_and(|run| run.answer.is_some()))
            .await?;
        checks(&row).last().cloned().context("a check")
    }

    /// Waits until the rollout of a release waits for a person.
    pub async fn held(&self, release: u64) -> Result<Environment> {
        let held = |row: &Environment| {
            row.under_way()
                .is_some_and(|rollout| rollout.held_until.is_some())
        };
        self.row(|row| is_about(row, release) && held(row)).await
    }

    /// Asserts that every pod is on this image.
    pub async fn assert_pods(&self, pushed: &Pushed) -> Result<()> {
        let found = self.pods().await?;
        ensure!(found.pods > 0, "no pods");
        for image in found.specs.iter().chain(&found.image_ids) {
            ensure!(
                image.ends_with(&pushed.digest),
                "{image} runs, not {}",
                pushed.digest
            );
        }
        Ok(())
    }

    pub async fn pods(&self) -> Result<sluice_tests::seen::Running> {
        let place = self.service.place("dev")?;
        let app = match self.by {
            By::Manifests => self.service.name.clone(),
            By::Helm => format!("{}-api", self.service.name),
        };
        running(
            &self.world,
            &place.cluster,
            &place.namespace,
            &format!("app={app}"),
        )
        .await
    }

    /// What a rollout could have written in dev, with what changes when it is written.
    pub async fn written(&self) -> Result<BTreeMap<String, String>> {
        let (client, namespace) = self.service.admin("dev").await?;
        let mut found = BTreeMap::new();
        // Their status changes by itself; their generation only when somebody writes them.
        let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
        for one in deployments.list(&ListParams::default()).await? {
            let annotations = one.metadata.annotations.clone();
            insert(
                &mut found,
                &one,
                format!("{:?} {annotations:?}", one.metadata.generation),
            );
        }
        let sets = Api::<ReplicaSet>::namespaced(client.clone(), &namespace);
        for one in sets.list(&ListParams::default()).await? {
            insert(&mut found, &one, String::new());
        }
        let maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
        for one in maps.list(&ListParams::default()).await? {
            insert(
                &mut found,
                &one,
                one.metadata.resource_version.clone().unwrap_or_default(),
            );
        }
        for one in Api::<Secret>::namespaced(client, &namespace)
            .list(&ListParams::default())
            .await?
        {
            insert(
                &mut found,
                &one,
                one.metadata.resource_version.clone().unwrap_or_default(),
            );
        }
        Ok(found)
    }
}

fn insert<K: Resource<DynamicType = ()>>(found: &mut BTreeMap<String, String>, one: &K, state: String) {
    let name = one.meta().name.clone().unwrap_or_default();
    found.insert(format!("{} {name}", K::kind(&())), state);
}

pub fn is_about(row: &Environment, release: u64) -> bool {
    row.rollout
        .as_ref()
        .and_then(|rollout| rollout.release)
        .is_some_and(|number| u64::from(number.0) == release)
}
