//! Values that come from Secrets Manager: they reach the cluster, and nothing else.
#![allow(clippy::indexing_slicing)]

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use sluice_local::image::Image;
use sluice_tests::act::invoke;
use sluice_tests::rows::{checks, log, row, table, until_row};
use sluice_tests::seen::{PATIENCE, until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::vendor::secret;
use sluice_tests::{Person, World};
use std::collections::BTreeMap;
use std::io::Read;

const PRINTS: &str = "the password is $PASSWORD";

fn options(arn: &str, more: &str) -> Options {
    Options {
        helm: Some(Chart::own("secret", "replicaCount: 1\n")),
        environment: format!(
            "secret_values = {{ \"database.password\" = \"{arn}\" }}\nverify = [{{ helm_test = true }}, {{ job = \"job.yaml\" }}]\n{more}"
        ),
        files: vec![("job.yaml".into(), JOB.into())],
        ..Options::default()
    }
}

/// A Job of the pipeline that reads the chart's Secret, and prints it.
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: look}\nspec:\n  template:\n    spec:\n      \
                   restartPolicy: Never\n      containers:\n      - name: look\n        args: [look]\n        env: \
                   [{name: PASSWORD, valueFrom: {secretKeyRef: {name: helm-secret-database, key: password}}}]\n";

/// A text that nothing else has.
fn planted(number: u32) -> String {
    format!(
        "planted-{number}-{}-\"quoted\"-and-long-enough",
        std::process::id() * 7919
    )
}

struct Scene {
    world: World,
    ana: Person,
    service: Delivered,
}

impl Scene {
    /// The password that the chart's Secret has now.
    async fn password(&self) -> Result<String> {
        let (client, namespace) = self.service.admin("dev").await?;
        let name = format!("{}-database", self.service.name);
        let found = Api::<Secret>::namespaced(client, &namespace).get(&name).await?;
        let data = found
            .data
            .unwrap_or_default()
            .remove("password")
            .context("no password")?;
        Ok(String::from_utf8(data.0)?)
    }

    async fn forget(&self, revision: u32) -> Result<()> {
        let (client, namespace) = self.service.admin("dev").await?;
        let name = format!("sh.helm.release.v1.{}.v{revision}", self.service.name);
        Api::<Secret>::namespaced(client, &namespace)
            .delete(&name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn push(&self, number: u32, labels: &[(&str, &str)]) -> Result<()> {
        let image = Image::new(&format!("helm-secret {number}"));
        let image = labels.iter().fold(image, |image, (name, value)| {
            image.label(&format!("sluice.sim/{name}"), value)
        });
        self.service.push(&image, &[&format!("{number:07x}")]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_secret_reaches_the_cluster_and_nothing_else() -> Result<()> {
    let world = World::load().await?;
    let (old, new) = (planted(1), planted(2));
    let arn = secret(&world, "delivery/helm-secret", &old).await?;
    let scene = Scene {
        ana: world.person("ana").await?,
        service: Delivered::new(&world, "helm-secret", &options(&arn, "")).await?,
        world,
    };
    let name = scene.service.name.as_str();
    // Given a release with it, whose tests print it
    scene
        .push(1, &[("test/log", PRINTS), ("look/log", PRINTS)])
        .await?;
    until_live(&scene.ana, name, "dev", 1).await?;
    ensure!(scene.password().await? == old);
    let live = row(&scene.world, name, "dev").await?;
    for run in checks(&live) {
        let printed = log(&scene.world, run).await?;
        ensure!(
            printed.contains("the password is (secret)"),
            "{}: {printed}",
            run.name
        );
    }
    ensure!(checks(&live).len() == 2, "{live:?}");
    let bundle = live.live.context("nothing is live")?.bundle;
    let bundle = table(&scene.world)?
        .bundle(&bundle)
        .await?
        .helm
        .context("no helm")?;
    let recorded = bundle.secret_values.first().context("no secret value")?;
    ensure!(
        recorded.arn == arn && !recorded.version.is_empty(),
        "{recorded:?}"
    );
    // When it is rotated, and another release takes the new one
    let manager = aws_sdk_secretsmanager::Client::new(&scene.world.config);
    manager
        .put_secret_value()
        .secret_id(&arn)
        .secret_string(&new)
        .send()
        .await?;
    let told = plan(&scene, 1).await?;
    ensure!(
        told.contains("(secret)") && told.contains("helm-secret-database"),
        "{told}"
    );
    scene.push(2, &[]).await?;
    until_live(&scene.ana, name, "dev", 2).await?;
    ensure!(scene.password().await? == new);
    // And a third one whose hook prints it as it fails
    scene
        .push(
            3,
            &[("post-upgrade/log", PRINTS), ("post-upgrade/exit-code", "1")],
        )
        .await?;
    let failed = until_state(&scene.ana, name, "dev", 3, "failed")
        .await?
        .to_string();
    ensure!(failed.contains("the password is (secret)"), "{failed}");
    until_live(&scene.ana, name, "dev", 2).await?;
    ensure!(scene.password().await? == new);
    // Then a rollback brings the old one back, by helm's history
    scene.ana.run(&["rollback", name, "dev"]).await?;
    until_live(&scene.ana, name, "dev", 1).await?;
    ensure!(scene.password().await? == old);
    // And from the bundle, where that is lost
    scene.push(4, &[]).await?;
    until_live(&scene.ana, name, "dev", 4).await?;
    ensure!(scene.password().await? == new);
    let helm = row(&scene.world, name, "dev")
        .await?
        .helm
        .context("helm never ran")?;
    for revision in 1..helm.revision.context("no revision")? {
        scene.forget(revision).await?;
    }
    scene.ana.run(&["rollback", name, "dev", "--to", "1"]).await?;
    until_live(&scene.ana, name, "dev", 1).await?;
    ensure!(scene.password().await? == old);
    // And neither was said anywhere
    let said = everything(&scene).await?;
    for needle in [old, new] {
        for form in forms(&needle) {
            let found: Vec<&String> = said
                .iter()
                .filter(|(_, text)| text.contains(&form))
                .map(|(place, _)| place)
                .collect();
            ensure!(found.is_empty(), "{form} is in {found:?}");
        }
    }
    // What was looked through was not nothing
    ensure!(
        said.values()
            .any(|text| text.contains("the password is (secret)")),
        "{:?}",
        said.keys()
    );
    scene.service.cleanup().await
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_stops_before_anything_is_written() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let arn = secret(&world, "elsewhere/helm-secret-denied", "x").await?;
    for (name, arn) in [
        ("helm-secret-denied", arn.as_str()),
        (
            "helm-secret-gone",
            "arn:aws:secretsmanager:us-east-1:000000000000:secret:delivery/gone-AbCdEf",
        ),
    ] {
        let options = Options {
            files: Vec::new(),
            environment: format!("secret_values = {{ \"database.password\" = \"{arn}\" }}\n"),
            ..options(arn, "")
        };
        let service = Delivered::new(&world, name, &options).await?;
        service.push(&Image::new(name), &["0000001"]).await?;
        let failed = until_state(&ana, name, "dev", 1, "failed").await?.to_string();
        ensure!(
            failed.contains(arn) && failed.contains("cannot be read"),
            "{failed}"
        );
        let said = service.helm("dev", &["history", name]).await?;
        ensure!(said.status != 0 && said.err.contains("not found"), "{said:?}");
        until_row(&world, name, "dev", PATIENCE, |row| row.under_way().is_none()).await?;
        service.cleanup().await?;
    }
    Ok(())
}

async fn plan(scene: &Scene, release: u32) -> Result<String> {
    let event = json!({"plan": {"service": scene.service.name, "environment": "dev", "release": release}});
    let (said, failed) = invoke(&scene.world, "run-helm", &event).await?;
    ensure!(failed.is_none(), "{said}");
    Ok(said.to_string())
}

/// As it is, as JSON has it, once and twice, and in base64 at each offset.
fn forms(needle: &str) -> Vec<String> {
    let json = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    let once = json(needle);
    let inside = |skip: usize| {
        let whole = STANDARD.encode(&needle.as_bytes()[skip..]);
        // Its last characters depend on what follows.
        whole[..whole.len() - 8].to_owned()
    };
    vec![
        needle.to_owned(),
        json(&once),
        once,
        inside(0),
        inside(1),
        inside(2),
    ]
}

/// Everything that Sluice has said and kept, by where it is.
async fn everything(scene: &Scene) -> Result<BTreeMap<String, String>> {
    let mut said = BTreeMap::new();
    rows(scene, &mut said).await?;
    executions(scene, &mut said).await?;
    let name = scene.service.name.as_str();
    for arguments in [
        vec!["status", name],
        vec!["history", name],
        vec!["ledger", "export", name, "dev"],
    ] {
        said.insert(
            format!("sluice {}", arguments.join(" ")),
            scene.ana.run(&arguments).await?,
        );
    }
    said.insert("plan".into(), plan(scene, 2).await?);
    for entry in std::fs::read_dir(scene.world.local.dir.join("logs"))? {
        let path = entry?.path();
        if path.is_file() {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            said.insert(path.display().to_string(), text);
        }
    }
    Ok(said)
}

async fn rows(scene: &Scene, said: &mut BTreeMap<String, String>) -> Result<()> {
    use aws_sdk_dynamodb::types::AttributeValue;
    let client = aws_sdk_dynamodb::Client::new(&scene.world.config);
    let table = &scene.world.local.sluice()?.table;
    let mut pages = client.scan().table_name(table).into_paginator().items().send();
    let mut number = 0;
    while let Some(item) = pages.next().await {
        let item = item?;
        number += 1;
        let mut text = String::new();
        for (key, value) in item {
            match value {
                AttributeValue::B(bytes) => {
                    let mut plain = Vec::new();
                    if GzDecoder::new(bytes.as_ref()).read_to_end(&mut plain).is_err() {
                        plain = bytes.into_inner();
                    }
                    text += &String::from_utf8_lossy(&plain);
                    // A chart is packed again in itself.
                    let mut inner = Vec::new();
                    if GzDecoder::new(plain.as_slice()).read_to_end(&mut inner).is_ok() {
                        text += &String::from_utf8_lossy(&inner);
                    }
                }
                AttributeValue::S(value) => text += &format!("{key} {value}\n"),
                other => text += &format!("{key} {other:?}\n"),
            }
        }
        said.insert(format!("row {number}"), text);
    }
    ensure!(number > 10, "only {number} rows");
    Ok(())
}

async fn executions(scene: &Scene, said: &mut BTreeMap<String, String>) -> Result<()> {
    let client = aws_sdk_sfn::Client::new(&scene.world.config);
    for (machine, arn) in &scene.world.local.sluice()?.state_machines {
        let names = sluice_tests::outside::executions(&scene.world, machine, &scene.service.name).await?;
        ensure!(!names.is_empty(), "no executions of {machine}");
        for (name, _) in names {
            let arn = format!("{}:{name}", arn.replace(":stateMachine:", ":execution:"));
            let described = client.describe_execution().execution_arn(&arn).send().await?;
            let mut text = format!(
                "{:?} {:?} {:?}\n",
                described.input, described.output, described.cause
            );
            let mut pages = client
                .get_execution_history()
                .execution_arn(&arn)
                .include_execution_data(true)
                .into_paginator()
                .items()
                .send();
            while let Some(event) = pages.next().await {
                text += &format!("{:?}\n", event?);
            }
            said.insert(format!("execution {name}"), text);
        }
    }
    Ok(())
}
