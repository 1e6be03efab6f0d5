//! What is known before a promotion, and what a person does about one that waits: plan, retry, answer, remove.
#![allow(clippy::indexing_slicing)]

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::image::Image;
use sluice_tests::outside::{ended, ledger, releases, sweep};
use sluice_tests::seen::{PATIENCE, environment, until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};

/// Exit statuses of `sluice`, as its help lists them.
const REFUSED: i32 = 5;
/// What no plan, log or row may show.
const PLANTED: &str = "hunter2-planted";

/// Pushes a release that does not go in by itself, and waits until it is known.
async fn pushed(ana: &Person, service: &Delivered, number: u64) -> Result<()> {
    let image = Image::new(&format!("{} {number}", service.name));
    service.push(&image, &[&format!("{number:07x}")]).await?;
    until("the release", PATIENCE, || async {
        let known = releases(ana, &service.name).await?;
        let there = known.iter().any(|one| one["number"] == number);
        Ok(if there { Ok(()) } else { Err(format!("{known:?}")) })
    })
    .await
}

/// The change of an object in a plan.
fn change<'p>(plan: &'p Value, kind: &str, name: &str) -> Result<&'p Value> {
    let changes = plan["changes"].as_array().context("a plan without changes")?;
    changes
        .iter()
        .find(|one| one["kind"] == kind && one["name"].as_str().is_some_and(|found| found.starts_with(name)))
        .with_context(|| format!("no change of {kind} {name}: {plan}"))
}

fn field<'c>(change: &'c Value, path: &str) -> Result<&'c Value> {
    let fields = change["fields"].as_array().context("a change without fields")?;
    fields
        .iter()
        .find(|one| one["path"] == path)
        .with_context(|| format!("no field {path}: {change}"))
}

#[tokio::test]
async fn a_plan_of_a_deployment_shows_what_a_write_would_change_and_writes_nothing() -> Result<()> {
    // Given a live release, a variable and a size that somebody set by hand, and a second release that is held
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "plan-deployment", &Options::default()).await?;
    let name = service.name.as_str();
    service.deliver(&ana, 1).await?;
    ana.run(&["hold", name, "dev", "--reason", "look first"]).await?;
    let (client, namespace) = service.admin("dev").await?;
    let deployments: Api<Deployment> = Api::namespaced(client, &namespace);
    let by_hand = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [
        {"name": "api", "env": [{"name": "DEBUG", "value": "1"}]}
    ]}}}});
    let kubectl = PatchParams {
        field_manager: Some("kubectl-edit".into()),
        ..PatchParams::default()
    };
    deployments
        .patch(name, &kubectl, &Patch::Strategic(&by_hand))
        .await?;
    let config = "two".to_owned();
    let options = Options {
        config,
        ..Options::default()
    };
    service.apply(&ana, &options).await?;
    pushed(&ana, &service, 2).await?;
    let spec = |found: Deployment| (found.metadata.generation, found.spec);
    let before = spec(deployments.get(name).await?);
    // When the second one is planned
    let plan = ana.json(&["plan", name, "dev", "2"]).await?;
    // Then it says what would be another, what is taken back and from whom, and what stands in the way
    ensure!(plan["release"] == 2 && plan["replaces"] == 1, "{plan}");
    let api = change(&plan, "Deployment", name)?;
    let image = field(api, "spec.template.spec.containers[api].image")?;
    ensure!(image["to"].to_string().contains("@sha256:"), "{image}");
    let size = field(api, "spec.replicas")?;
    ensure!(size["from"] == 3 && size["to"] == 2, "{size}");
    ensure!(api.to_string().contains("DEBUG"), "{api}");
    ensure!(
        api["taken"]["kubectl-edit"].to_string().contains("spec.replicas"),
        "{api}"
    );
    ensure!(change(&plan, "ConfigMap", name)?["change"] == "create", "{plan}");
    let text = ana.run(&["plan", name, "dev", "2"]).await?;
    ensure!(text.contains(&format!("~ Deployment {name}")), "{text}");
    ensure!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // And nothing was written
    ensure!(spec(deployments.get(name).await?) == before, "the plan wrote");
    service.cleanup().await
}

#[tokio::test]
async fn a_plan_of_a_chart_shows_drift_and_no_secret() -> Result<()> {
    // Given a chart with a Secret, and a value that comes from Secrets Manager and is written into a ConfigMap, too
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let manager = aws_sdk_secretsmanager::Client::new(&world.config);
    let entry = manager
        .create_secret()
        .name("delivery/plan-helm")
        .secret_string(PLANTED);
    let arn = entry.send().await?.arn.context("an entry without an ARN")?;
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}-secret}\n\
                  stringData: {own: {{ .Values.own | quote }}, token: {{ .Values.token | quote }}}\n---\n\
                  apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-leak}\n\
                  data: {token: {{ .Values.token | quote }}}\n";
    let options = |message: &str| Options {
        helm: Some(Chart::own(
            "hooks",
            &format!("message: one\nown: own-planted-{message}\n"),
        )),
        environment: format!("secret_values = {{ token = \"{arn}\" }}\n"),
        files: vec![("chart/templates/secret.yaml".into(), secret.into())],
        ..Options::default()
    };
    let service = Delivered::new(&world, "plan-helm", &options("one")).await?;
    let name = service.name.as_str();
    // When the first release is planned before anything is there, and a later one over it
    ana.run(&["hold", name, "dev", "--reason", "look first"]).await?;
    pushed(&ana, &service, 1).await?;
    let first = ana.json(&["plan", name, "dev"]).await?;
    ensure!(
        first["replaces"].is_null() && first["revision"].is_null(),
        "{first}"
    );
    ensure!(change(&first, "Secret", name)?["change"] == "create", "{first}");
    ana.run(&["unhold", name, "dev"]).await?;
    let live = until_live(&ana, name, "dev", 1).await?;
    ensure!(live["live"]["revision"] == 1, "{live}");
    ana.run(&["hold", name, "dev", "--reason", "look again"]).await?;
    service.apply(&ana, &options("two")).await?;
    pushed(&ana, &service, 2).await?;
    let (client, namespace) = service.admin("dev").await?;
    let deployments: Api<Deployment> = Api::namespaced(client, &namespace);
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let app = format!("{name}-api");
    deployments.patch(&app, &PatchParams::default(), &by_hand).await?;
    let second = ana.json(&["plan", name, "dev"]).await?;
    // Then what changes, hooks and drift are said, and of the Secret only that it changes
    ensure!(second["release"] == 2 && second["revision"] == 1, "{second}");
    field(change(&second, "Deployment", &app)?, "spec.replicas")?;
    let own = field(change(&second, "Secret", name)?, "data.own")?;
    ensure!(own["from"] == "(secret)" && own["to"] == "(secret)", "{own}");
    ensure!(second["hooks"].to_string().contains("pre-upgrade"), "{second}");
    ensure!(second["drift"].to_string().contains("spec.replicas"), "{second}");
    let text = ana.run(&["plan", name, "dev"]).await?;
    ensure!(text.contains("the rollout would not start"), "{text}");
    for told in [first.to_string(), second.to_string(), text] {
        // "own-planted" and "hunter2-planted", also in base64
        for planted in ["planted", "b3duLXBsYW50ZW", "aHVudGVyMi1wbGFudGVk"] {
            ensure!(!told.contains(planted), "a secret is shown: {told}");
        }
    }
    service.cleanup().await
}

#[tokio::test]
async fn a_check_without_an_answer_holds_is_run_again_and_aborted() -> Result<()> {
    // Given a check before the rollout that never ends in its time
    let world = World::load().await?;
    let (ana, carl) = (world.person("ana").await?, world.person("carl").await?);
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: wait}\nspec:\n  template:\n    spec:\n      \
               restartPolicy: Never\n      containers: [{name: wait, args: [wait]}]\n";
    let options = Options {
        environment:
            "operators = [\"ana\", \"ben\"]\nbefore = [{ job = \"wait.yaml\", timeout = \"10s\" }]\n".into(),
        files: vec![("wait.yaml".into(), job.into())],
        ..Options::default()
    };
    let service = Delivered::new(&world, "plan-held", &options).await?;
    let name = service.name.as_str();
    let image = Image::new("held")
        .label("sluice.sim/wait/log", "waits for nobody")
        .label("sluice.sim/wait/ready-after", "600s");
    service.push(&image, &["0000001"]).await?;
    let held = |run: u64| {
        let ana = &ana;
        until("the hold", PATIENCE, move || async move {
            let found = environment(ana, name, "dev").await?;
            let check = &found["checks"][0];
            let held = check["state"] == "inconclusive" && check["attempt"] == run;
            Ok(match held && !found["activity"]["held_until"].is_null() {
                true => Ok(found),
                false => Err(found.to_string()),
            })
        })
    };
    // When it holds, then it is told with its log and what can be done
    let found = held(1).await?;
    ensure!(
        found["checks"][0]["log"].to_string().contains("waits for nobody"),
        "{found}"
    );
    let text = ana.run(&["status", name]).await?;
    for said in ["held", "waits for nobody", "sluice retry", "sluice abort"] {
        ensure!(text.contains(said), "{said}: {text}");
    }
    // And who may not does nothing; what is no webhook is not answered; another release is refused
    let said = carl.refused(&["retry", name, "dev"], 4).await?;
    ensure!(said.contains("ana, ben"), "{said}");
    let said = ana
        .refused(&["answer", name, "dev", "wait", "--passed"], REFUSED)
        .await?;
    ensure!(said.contains("gave no answer"), "{said}");
    ana.refused(&["retry", name, "dev", "--release", "7"], REFUSED)
        .await?;
    // When it is run again, then it is, once, and holds again
    ana.run(&["retry", name, "dev", "--reason", "network"]).await?;
    let said = ana
        .refused(&["answer", name, "dev", "wait", "--passed"], REFUSED)
        .await;
    ensure!(said.is_ok(), "{said:?}");
    held(2).await?;
    let asked: Vec<Value> = ledger(&ana, name, "dev")
        .await?
        .into_iter()
        .filter(|entry| entry["event"] == "check_asked_again")
        .collect();
    ensure!(asked.len() == 1 && asked[0]["by"] == "ana", "{asked:?}");
    ensure!(
        asked[0]["reason"] == "before wait is run again: network",
        "{asked:?}"
    );
    // When it is aborted before anything was written, then it ends at once and its execution with it
    let said = ana.refused(&["remove", name, "--yes"], REFUSED).await?;
    ensure!(said.contains("sluice abort"), "{said}");
    ana.run(&["abort", name, "dev"]).await?;
    until_state(&ana, name, "dev", 1, "aborted").await?;
    ended(&world, "promotion", "plan-held-1-dev-1").await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_service_that_is_removed_keeps_what_it_has_and_comes_back() -> Result<()> {
    // Given a live release
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "plan-removed", &Options::default()).await?;
    let name = service.name.as_str();
    let first = service.deliver(&ana, 1).await?;
    // When the service is removed, twice
    ana.run(&["remove", name, "--yes"]).await?;
    ana.run(&["remove", name, "--yes"]).await?;
    // Then what runs and the history stay, and nothing more is done for it
    service.assert_runs(&first).await?;
    let status = ana.json(&["status", name]).await?;
    ensure!(status["services"][0]["removed"]["by"] == "ana", "{status}");
    for command in [
        &["promote", name, "dev"][..],
        &["plan", name, "dev"],
        &["rollback", name, "dev"],
        &["hold", name, "dev", "--reason", "x"],
    ] {
        let said = ana.refused(command, REFUSED).await?;
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            flat.contains("was removed from Sluice's care on") && flat.contains("sluice apply"),
            "{said}"
        );
    }
    let direct = json!({"service": name, "environment": "dev"});
    let (answer, failed) = sluice_tests::act::invoke(&world, "roll-back", &direct).await?;
    ensure!(
        failed.is_some() && answer.to_string().contains("was removed"),
        "{answer}"
    );
    service.push(&Image::new("removed 2"), &["0000002"]).await?;
    sweep(&world, name).await?;
    ensure!(releases(&ana, name).await?.len() == 1, "a push became a release");
    let removed = ledger(&ana, name, "dev").await?;
    ensure!(
        removed
            .iter()
            .filter(|entry| entry["event"] == "service_removed")
            .count()
            == 1
    );
    // When it is applied again, then a new push is delivered, and the one in between is not
    sluice_tests::outside::next_second().await?;
    service.apply(&ana, &Options::default()).await?;
    sweep(&world, name).await?;
    ensure!(
        releases(&ana, name).await?.len() == 1,
        "what was pushed meanwhile became a release"
    );
    service.push(&Image::new("removed 3"), &["0000003"]).await?;
    until_live(&ana, name, "dev", 2).await?;
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
}
