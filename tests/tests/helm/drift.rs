//! What others changed behind Sluice's back.
#![allow(clippy::indexing_slicing)]

use crate::delivery::{assert_pods, by, history};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice_local::faults::{Action, Rule};
use sluice_local::image::{Image, Pushed};
use sluice_tests::outside::ledger;
use sluice_tests::rows::row;
use sluice_tests::seen::{PATIENCE, promotion, until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};
use std::time::Duration;

const VALUES: &str = "message: one\nreplicaCount: 2\n";

struct Scene {
    world: World,
    ana: Person,
    service: Delivered,
}

impl Scene {
    async fn new(name: &str, options: &Options) -> Result<Self> {
        let world = World::load().await?;
        Ok(Self {
            ana: world.person("ana").await?,
            service: Delivered::new(&world, name, options).await?,
            world,
        })
    }

    async fn push(&self, number: u64) -> Result<Pushed> {
        let image = Image::new(&format!("{} {number}", self.service.name));
        self.service.push(&image, &[&format!("{number:07x}")]).await
    }

    async fn live(&self, number: u64, pushed: &Pushed) -> Result<()> {
        until_live(&self.ana, &self.service.name, "dev", number).await?;
        assert_pods(&self.world, &self.service, "dev", &pushed.digest).await
    }

    async fn deployments(&self) -> Result<Api<Deployment>> {
        let (client, namespace) = self.service.admin("dev").await?;
        Ok(Api::namespaced(client, &namespace))
    }

    fn api(&self) -> String {
        format!("{}-api", self.service.name)
    }

    /// As `kubectl patch` writes it.
    async fn patch(&self, patch: &Value) -> Result<()> {
        let parameters = PatchParams {
            field_manager: Some("kubectl-patch".into()),
            ..PatchParams::default()
        };
        self.deployments()
            .await?
            .patch(&self.api(), &parameters, &Patch::Strategic(patch))
            .await?;
        Ok(())
    }

    async fn written(&self) -> Result<Value> {
        let found = self.deployments().await?.get_opt(&self.api()).await?;
        let told = history(&self.service, "dev").await.unwrap_or_default();
        Ok(json!({"deployment": found.map(|found| found.spec), "history": told}))
    }

    /// A release is refused with these words, and changes nothing.
    async fn refused(&self, number: u64, words: &[&str]) -> Result<()> {
        let before = self.written().await?;
        self.push(number).await?;
        let failed = until_state(&self.ana, &self.service.name, "dev", number, "failed").await?;
        let reason = failed.get("reason").and_then(Value::as_str).unwrap_or_default();
        for word in words
            .iter()
            .chain(&["others changed what Sluice left", "on_drift"])
        {
            ensure!(reason.contains(word), "no {word} in {reason}");
        }
        let after = self.written().await?;
        ensure!(after == before, "{before}\n{after}");
        Ok(())
    }

    async fn overwritten(&self) -> Result<Vec<String>> {
        let entries = ledger(&self.ana, &self.service.name, "dev").await?;
        let of = |entry: &Value| {
            entry
                .get("event")
                .is_some_and(|event| event == "drift_overwritten")
        };
        let reasons = entries.iter().filter(|entry| of(entry));
        Ok(reasons
            .filter_map(|entry| Some(entry.get("reason")?.as_str()?.to_owned()))
            .collect())
    }
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "api", "image": image}]}}}})
}

fn overwriting() -> Options {
    Options {
        environment: "on_drift = \"overwrite\"\n".into(),
        ..by(Chart::own("hooks", VALUES))
    }
}

#[tokio::test]
async fn objects_that_others_changed_stop_a_rollout_or_are_written_over() -> Result<()> {
    let scene = Scene::new("helm-drift", &by(Chart::own("hooks", VALUES))).await?;
    let first = scene.push(1).await?;
    scene.live(1, &first).await?;
    let deployments = scene.deployments().await?;
    let spec = deployments.get(&scene.api()).await?.spec.context("no spec")?;
    let before = &spec.template.spec.context("no pods")?.containers;
    let right = before
        .first()
        .and_then(|one| one.image.clone())
        .context("no image")?;
    // kubectl set image
    let other = scene.service.push(&Image::new("by hand"), &["by-hand"]).await?;
    let by_hand = right.replace(&first.digest, &other.digest);
    scene.patch(&image(&by_hand)).await?;
    scene
        .refused(2, &["Deployment helm-drift-api has another", "image"])
        .await?;
    scene.patch(&image(&right)).await?;
    // kubectl scale
    scene.patch(&json!({"spec": {"replicas": 1}})).await?;
    scene
        .refused(3, &["Deployment helm-drift-api has another spec.replicas"])
        .await?;
    // kubectl delete, twice changed at once
    let (client, namespace) = scene.service.admin("dev").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    maps.delete("helm-drift-config", &DeleteParams::default()).await?;
    scene
        .refused(4, &["ConfigMap helm-drift-config is gone", "spec.replicas"])
        .await?;
    // When the next one may write over it, then it does, and the ledger says over what
    scene.service.apply(&scene.ana, &overwriting()).await?;
    let fifth = scene.push(5).await?;
    scene.live(5, &fifth).await?;
    let spec = deployments.get(&scene.api()).await?.spec.context("no spec")?;
    ensure!(spec.replicas == Some(2), "{spec:?}");
    ensure!(
        maps.get_opt("helm-drift-config").await?.is_some(),
        "it is not back"
    );
    let reasons = scene.overwritten().await?;
    ensure!(
        reasons.len() == 1 && reasons[0].contains("is gone"),
        "{reasons:?}"
    );
    // And what was written over is no drift any more
    let sixth = scene.push(6).await?;
    scene.live(6, &sixth).await?;
    ensure!(scene.overwritten().await?.len() == 1);
    scene.service.cleanup().await
}

#[tokio::test]
async fn a_release_that_others_changed_stops_a_rollout_or_is_written_over() -> Result<()> {
    let options = by(Chart::own("hooks", VALUES));
    let scene = Scene::new("helm-drift-release", &options).await?;
    let name = scene.service.name.as_str();
    let first = scene.push(1).await?;
    scene.live(1, &first).await?;
    // helm upgrade
    let chart = scene.service.folder().join("chart").display().to_string();
    let upgrade = ["upgrade", name, &chart, "--reuse-values", "--set", "message=hand"];
    scene.service.helm("dev", &upgrade).await?.well()?;
    scene
        .refused(2, &["revision 2 of the Helm release", "is not Sluice's"])
        .await?;
    // Put back, it is no drift: another revision of the same content
    scene
        .service
        .helm("dev", &["rollback", name, "1"])
        .await?
        .well()?;
    let third = scene.push(3).await?;
    scene.live(3, &third).await?;
    // helm uninstall
    scene.service.helm("dev", &["uninstall", name]).await?.well()?;
    scene
        .refused(4, &["the Helm release helm-drift-release is gone"])
        .await?;
    // When it may be written over, then both are
    scene.service.apply(&scene.ana, &overwriting()).await?;
    let fifth = scene.push(5).await?;
    scene.live(5, &fifth).await?;
    scene.service.helm("dev", &upgrade).await?.well()?;
    let sixth = scene.push(6).await?;
    scene.live(6, &sixth).await?;
    let reasons = scene.overwritten().await?;
    ensure!(
        reasons.len() == 2 && reasons[0].contains("is gone") && reasons[1].contains("not Sluice's"),
        "{reasons:?}"
    );
    // And the way back is Sluice's own release before it
    scene.service.cleanup().await
}

#[tokio::test]
async fn somebody_s_helm_that_is_at_work_is_waited_for_and_never_closed() -> Result<()> {
    let scene = Scene::new("helm-busy", &by(Chart::own("hooks", VALUES))).await?;
    let name = scene.service.name.as_str();
    let first = scene.push(1).await?;
    scene.live(1, &first).await?;
    // Given an upgrade by hand that does not end: helm hands it the labels of ours
    let chart = scene.service.folder().join("chart").display().to_string();
    let waits = "hooks.pre-upgrade.waitsFor=gate";
    let upgrade = ["upgrade", name, &chart, "--reuse-values", "--set", waits];
    let by_hand = scene.service.helm("dev", &upgrade);
    let meanwhile = async {
        let pending = |told: &[Value]| {
            told.last()
                .is_some_and(|last| last.get("status").is_some_and(|s| s == "pending-upgrade"))
        };
        until("an upgrade by hand", PATIENCE, || async {
            let told = history(&scene.service, "dev").await?;
            Ok(if pending(&told) {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            })
        })
        .await?;
        scene.push(2).await?;
        until("a promotion that waits for it", PATIENCE, || async {
            let found = promotion(&scene.ana, name, "dev", 2).await?;
            let taken = row(&scene.world, name, "dev").await?;
            let starts = taken
                .under_way()
                .and_then(|rollout| rollout.release)
                .is_some_and(|release| release.0 == 2);
            Ok(if starts { Ok(()) } else { Err(format!("{found:?}")) })
        })
        .await?;
        // Long enough for a look at it, and for it to be closed if it were taken for one of ours
        tokio::time::sleep(Duration::from_secs(10)).await;
        let told = history(&scene.service, "dev").await?;
        ensure!(pending(&told) && told.len() == 2, "{told:?}");
        let (client, namespace) = scene.service.admin("dev").await?;
        let gate: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "gate"}}))?;
        Api::<ConfigMap>::namespaced(client, &namespace)
            .create(&PostParams::default(), &gate)
            .await?;
        Ok::<_, anyhow::Error>(())
    };
    let (said, came) = tokio::join!(by_hand, meanwhile);
    came?;
    said?.well()?;
    // Then it ended well, and is drift
    let failed = until_state(&scene.ana, name, "dev", 2, "failed").await?;
    ensure!(failed.to_string().contains("is not Sluice's"), "{failed}");
    let entries = ledger(&scene.ana, name, "dev").await?;
    ensure!(
        !entries
            .iter()
            .any(|entry| entry.get("event").is_some_and(|event| event == "helm_healed"))
    );
    scene.service.cleanup().await
}

#[tokio::test]
async fn what_controllers_and_sluice_itself_write_is_no_drift() -> Result<()> {
    let autoscaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: {{ .Release.Name }}-api}\nspec:\n  \
                      scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .Release.Name }}-api}\n  minReplicas: 1\n  \
                      maxReplicas: 5\n";
    let options = Options {
        files: vec![("chart/templates/autoscaler.yaml".into(), autoscaler.into())],
        ..by(Chart::own("hooks", VALUES))
    };
    let scene = Scene::new("helm-no-drift", &options).await?;
    let first = scene.push(1).await?;
    scene.live(1, &first).await?;
    // Given replicas that an autoscaler set
    scene.patch(&json!({"spec": {"replicas": 3}})).await?;
    let second = scene.push(2).await?;
    scene.live(2, &second).await?;
    // And a failed promotion, which was restored as another revision
    let broken = Image::new("helm-no-drift 3").label("sluice.sim/crash-at-start", "no database");
    scene.service.push(&broken, &["0000003"]).await?;
    until_state(&scene.ana, &scene.service.name, "dev", 3, "failed").await?;
    scene.live(2, &second).await?;
    let fourth = scene.push(4).await?;
    scene.live(4, &fourth).await?;
    // And a rollback
    scene.ana.run(&["rollback", &scene.service.name, "dev"]).await?;
    scene.live(2, &second).await?;
    let fifth = scene.push(5).await?;
    scene.live(5, &fifth).await?;
    ensure!(scene.overwritten().await?.is_empty());
    scene.service.cleanup().await
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_asked_again() -> Result<()> {
    let scene = Scene::new("helm-drift-silent", &by(Chart::own("hooks", VALUES))).await?;
    let first = scene.push(1).await?;
    scene.live(1, &first).await?;
    let place = scene.service.place("dev")?;
    let faults = scene.world.local.faults();
    let rule = Rule::kubernetes(&place.cluster, "PATCH", &place.namespace).function("run-helm");
    let busy = Action::Error {
        status: 503,
        body: "{\"kind\": \"Status\", \"apiVersion\": \"v1\", \"status\": \"Failure\", \"code\": 503}".into(),
    };
    faults.add(rule.times(12).then(busy.clone())).await?;
    let second = scene.push(2).await?;
    scene.live(2, &second).await?;
    let fired = faults.fired().await?;
    let ours = fired
        .iter()
        .filter(|fired| fired.action == busy && fired.call.path.contains(&place.namespace));
    ensure!(ours.count() == 12, "the cluster answered");
    scene.service.cleanup().await
}
