//! From push to release to environments, on real parts.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, PostParams};
use serde_json::json;
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::seen::{running, until_asked, until_live, until_state};
use sluice_tests::service::{Delivered, Options};

#[tokio::test]
async fn a_rolled_back_environment_has_its_old_configuration() -> Result<()> {
    // Given a service with two releases, the second of which came with another ConfigMap
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-config", &Options::default()).await?;
    let first = service.push(&Image::new("config 1"), &["1111111"]).await?;
    until_live(&ana, &service.name, "dev", 1).await?;
    service
        .apply(
            &ana,
            &Options {
                config: "two".into(),
                ..Options::default()
            },
        )
        .await?;
    service.push(&Image::new("config 2"), &["2222222"]).await?;
    until_live(&ana, &service.name, "dev", 2).await?;
    let place = service.place("dev")?;
    let app = format!("app={}", service.name);
    let after = running(&world, &place.cluster, &place.namespace, &app).await?;
    ensure!(
        after.config.iter().all(|config| config.contains("two")),
        "{after:?}"
    );
    // When it is rolled back
    ana.run(&["rollback", &service.name, "dev"]).await?;
    until_live(&ana, &service.name, "dev", 1).await?;
    // Then both the image and the configuration are the first release's
    let back = service.assert_runs(&first).await?;
    ensure!(
        back.config.len() == 1 && back.config.iter().all(|config| config.contains("one")),
        "{back:?}"
    );
    service.cleanup().await
}

#[tokio::test]
async fn an_index_is_one_release_and_a_rejected_one_goes_no_further() -> Result<()> {
    // Given two environments, the second of which asks people
    let world = World::load().await?;
    let (ana, carl) = (world.person("ana").await?, world.person("carl").await?);
    let options = Options {
        environments: 2,
        approval: true,
        ..Options::default()
    };
    let service = Delivered::new(&world, "t-index", &options).await?;
    // When an index with children is pushed
    let pusher = sluice_local::image::Pusher::new(&world.local, &service.name);
    let images = [
        Image::new("index amd64"),
        Image::new("index arm64").architecture("arm64"),
    ];
    let index = pusher.push_index(&images, &["abcdef0", "latest"]).await?;
    // Then dev runs the index, and staging waits
    until_live(&ana, &service.name, "dev", 1).await?;
    service.assert_runs(&index).await?;
    until_asked(&ana, &service.name, "staging", 1).await?;
    // When somebody who is no approver says yes, then it is refused; when Ana says no, it is over
    let said = carl
        .refused(&["approve", &service.name, "staging", "1"], 4)
        .await?;
    ensure!(said.contains("ana"), "it does not say who may: {said}");
    ana.run(&[
        "reject",
        &service.name,
        "staging",
        "1",
        "--reason",
        "not on a Friday",
    ])
    .await?;
    let over = until_state(&ana, &service.name, "staging", 1, "rejected").await?;
    ensure!(over.to_string().contains("not on a Friday"), "{over}");
    let history = ana.json(&["history", &service.name]).await?;
    let releases = history
        .get("releases")
        .and_then(|releases| releases.as_array())
        .map(Vec::len);
    ensure!(
        releases == Some(1),
        "children and tags are no releases: {history}"
    );
    service.cleanup().await
}

#[tokio::test]
async fn a_failed_first_release_is_scaled_to_zero() -> Result<()> {
    // Given an empty namespace
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-empty", &Options::default()).await?;
    // When the first release cannot start
    service
        .push(
            &Image::new("empty 1").label("sluice.sim/crash-at-start", "no settings"),
            &["1111111"],
        )
        .await?;
    let failed = until_state(&ana, &service.name, "dev", 1, "failed").await?;
    ensure!(failed.to_string().contains("no settings"), "{failed}");
    // Then no pod is left, and the next release comes through
    let place = service.place("dev")?;
    let left = running(
        &world,
        &place.cluster,
        &place.namespace,
        &format!("app={}", service.name),
    )
    .await?;
    ensure!(left.pods == 0, "{left:?}");
    let good = service.push(&Image::new("empty 2"), &["2222222"]).await?;
    until_live(&ana, &service.name, "dev", 2).await?;
    let runs = service.assert_runs(&good).await?;
    ensure!(runs.pods == 2, "{runs:?}");
    service.cleanup().await
}

#[tokio::test]
async fn a_first_release_that_fails_leaves_what_was_there_as_it_was() -> Result<()> {
    // Given a Deployment and a Service that somebody put into the namespace, and a pipeline whose manifests have both
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = Options {
        exposed: true,
        ..Options::default()
    };
    let service = Delivered::unapplied(&world, "t-was-there", &options).await?;
    let (name, place) = (service.name.as_str(), service.place("dev")?);
    let old = service.push(&Image::new("before"), &["by-hand"]).await?;
    let client = world.local.cluster(&place.cluster)?.admin().await?;
    let deployments = Api::<Deployment>::namespaced(client.clone(), &place.namespace);
    let services = Api::<Service>::namespaced(client, &place.namespace);
    let metadata = json!({"name": name});
    let labels = json!({"app": name, "by": "hand"});
    let deployment = json!({"metadata": metadata, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "api", "image": format!("{}/{name}@{}", world.local.registry_host(), old.digest)}]}}}});
    let front = json!({"metadata": metadata, "spec": {"selector": labels, "ports": [{"port": 8080}]}});
    let create = PostParams::default();
    deployments
        .create(&create, &serde_json::from_value(deployment)?)
        .await?;
    let before = services.create(&create, &serde_json::from_value(front)?).await?;
    // When its first release writes both, and does not start
    service.apply(&ana, &options).await?;
    let broken = Image::new("before 1").label("sluice.sim/crash-at-start", "true");
    service.push(&broken, &["1111111"]).await?;
    until_state(&ana, name, "dev", 1, "failed").await?;
    // Then traffic goes where it went, to pods of what ran
    let after = services.get(name).await?;
    ensure!(
        after.spec == before.spec,
        "before {:?}, after {:?}",
        before.spec,
        after.spec
    );
    ensure!(
        after.metadata.managed_fields != before.metadata.managed_fields,
        "nobody wrote the Service, so that nothing had to be put back"
    );
    service.assert_runs(&old).await?;
    service.cleanup().await
}
