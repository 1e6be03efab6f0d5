//! The real helm on the local AWS and Kubernetes: charts in ECR, and what every chart for tests needs.
//! `sluice-local run --without-sluice -- cargo test -p sluice-local`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_local::Environment;
use sluice_local::image::{Image, Pusher};
use sluice_local::places;

/// How long a definition may take until it is gone, with its objects.
const GONE: Duration = Duration::from_secs(60);

struct Here {
    environment: Environment,
    home: tempfile::TempDir,
}

impl Here {
    fn new() -> Self {
        Self {
            environment: Environment::load().unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.home.path())
            .envs(self.environment.variables())
            .env("KUBECONFIG", &self.environment.clusters[0].kubeconfig)
            .env("HOME", self.home.path())
            .output()
            .unwrap()
    }

    /// Standard output of a helm that must succeed.
    fn helm(&self, arguments: &[&str]) -> String {
        let done = self.run(&self.environment.helm, arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "helm {arguments:?}: {said}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn aws(&self, arguments: &[&str]) -> Value {
        let done = self.run(&self.environment.sam_bin.join("aws"), arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "aws {arguments:?}: {said}");
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// The digest of an image with these labels, pushed.
    async fn image(&self, content: &str, labels: &[(&str, &str)]) -> String {
        let image = labels.iter().fold(Image::new(content), |image, (name, value)| {
            image.label(name, value)
        });
        let pusher = Pusher::new(&self.environment, "mc-api");
        pusher.push(&image, &[content]).await.unwrap().digest
    }

    fn repository(&self) -> String {
        format!("{}/mc-api", self.environment.registry_host())
    }

    async fn namespace(&self, name: &str) -> String {
        let cluster = &self.environment.clusters[0];
        cluster.create_test_namespace(name).await.unwrap()
    }
}

fn ours(name: &str) -> PathBuf {
    places::project().join("tests/charts").join(name)
}

#[tokio::test]
async fn a_chart_in_ecr_is_found_by_digest_and_fetched_by_its_layers_url() {
    let here = Here::new();
    here.aws(&["ecr", "create-repository", "--repository-name", "charts/job"]);
    let registry = here.environment.endpoint.trim_start_matches("http://");
    here.helm(&["package", ours("job").to_str().unwrap()]);
    let target = format!("oci://{registry}/charts");
    here.helm(&["push", "--plain-http", "job-1.0.0.tgz", &target]);

    let pushed = here.aws(&["ecr", "describe-images", "--repository-name", "charts/job"]);
    let digest = pushed["imageDetails"][0]["imageDigest"].as_str().unwrap();
    let id = format!("imageDigest={digest}");
    let found = here.aws(&[
        "ecr",
        "batch-get-image",
        "--repository-name",
        "charts/job",
        "--image-ids",
        &id,
    ]);
    let manifest = found["images"][0]["imageManifest"].as_str().unwrap();
    assert_eq!(
        digest,
        format!("sha256:{}", hex::encode(Sha256::digest(manifest)))
    );
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    assert_eq!(
        [
            &manifest["config"]["mediaType"],
            &manifest["layers"][0]["mediaType"]
        ],
        [
            &json!("application/vnd.cncf.helm.config.v1+json"),
            &json!("application/vnd.cncf.helm.chart.content.v1.tar+gzip")
        ]
    );
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let asked = here.aws(&[
        "ecr",
        "get-download-url-for-layer",
        "--repository-name",
        "charts/job",
        "--layer-digest",
        layer,
    ]);
    let url = asked["downloadUrl"].as_str().unwrap();
    let archive = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert_eq!(layer, format!("sha256:{}", hex::encode(Sha256::digest(&archive))));
    assert_eq!(
        archive,
        std::fs::read(here.home.path().join("job-1.0.0.tgz")).unwrap()
    );
}

/// Installs, upgrades to another image, and rolls back; each is waited for by helm. What `uninstall` leaves to an
/// administrator, the chart's definitions, goes too: what comes after expects a cluster without them.
async fn there_and_back(
    here: &Here,
    chart: &Path,
    namespace: &str,
    values: impl Fn(&str) -> String,
    images: [&str; 2],
) {
    let chart = chart.to_str().unwrap();
    let wait = ["--namespace", namespace, "--wait", "--timeout", "60s"];
    for image in images {
        let values = values(image);
        let upgrade = ["upgrade", "--install", "it", chart, "--set", &values];
        here.helm(&[&upgrade[..], &wait[..]].concat());
        let manifest = here.helm(&["get", "manifest", "it", "--namespace", namespace]);
        assert!(manifest.contains(image), "{chart} does not run {image}");
    }
    here.helm(&[&["rollback", "it", "1"][..], &wait[..]].concat());
    let history = here.helm(&["history", "it", "--namespace", namespace, "--output", "json"]);
    let history: Value = serde_json::from_str(&history).unwrap();
    let status: Vec<&Value> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert_eq!(status, ["superseded", "superseded", "deployed"], "{chart}");
    here.helm(&[&["uninstall", "it"][..], &wait[..]].concat());
    let client = here.environment.clusters[0].admin().await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let shown = here.helm(&["show", "crds", chart]);
    for definition in serde_saphyr::from_multiple::<Value>(&shown).unwrap() {
        let name = definition["metadata"]["name"].as_str().unwrap();
        definitions.delete(name, &DeleteParams::default()).await.unwrap();
        let gone = await_condition(definitions.clone(), name, |one: Option<&_>| one.is_none());
        tokio::time::timeout(GONE, gone).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn charts_of_ours_install_upgrade_and_roll_back() {
    let here = Here::new();
    let repository = here.repository();
    let (old, new) = (here.image("ours-1", &[]).await, here.image("ours-2", &[]).await);
    for name in ["hooks", "parts", "stateful", "several", "definitions", "job"] {
        let namespace = here.namespace(&format!("ours-{name}")).await;
        let values = |digest: &str| {
            let store = match name {
                "parts" => format!(",store.image.repository={repository},store.image.digest={old}"),
                _ => String::new(),
            };
            format!("image.repository={repository},image.digest={digest}{store}")
        };
        there_and_back(&here, &ours(name), &namespace, values, [&old, &new]).await;
        here.environment.clusters[0]
            .delete_namespace(&namespace)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn charts_of_others_install_upgrade_and_roll_back() {
    let here = Here::new();
    let repository = here.repository();
    let (old, new) = (
        here.image("others-1", &[]).await,
        here.image("others-2", &[]).await,
    );
    for name in ["descheduler", "external-dns", "metrics-server", "dapr"] {
        let namespace = here.namespace(&format!("others-{name}")).await;
        let values = |digest: &str| values_of_others(name, &repository, digest);
        there_and_back(
            &here,
            &here.environment.charts.join(name),
            &namespace,
            values,
            [&old, &new],
        )
        .await;
        here.environment.clusters[0]
            .delete_namespace(&namespace)
            .await
            .unwrap();
    }
}

/// infra/local/README.md, "Charts", says why.
fn values_of_others(name: &str, repository: &str, digest: &str) -> String {
    let image = format!("{repository}:1@{digest}");
    match name {
        "dapr" => {
            let parts = ["operator", "placement", "scheduler", "sentry"]
                .map(|part| format!("dapr_{part}.image.name={image}"));
            format!(
                "{},dapr_sidecar_injector.enabled=false,dapr_scheduler.cluster.inMemoryStorage=true",
                parts.join(",")
            )
        }
        "metrics-server" => {
            format!("image.repository={repository},image.tag=1@{digest},apiService.create=false")
        }
        _ => format!("image.repository={repository},image.tag=1@{digest}"),
    }
}

#[tokio::test]
async fn a_hook_fails_by_a_value_and_a_test_by_its_image() {
    let here = Here::new();
    let (repository, namespace) = (here.repository(), here.namespace("hooks-fail").await);
    let digest = here
        .image("hooks-fail", &[("sluice.sim/test/exit-code", "1")])
        .await;
    let (chart, image) = (
        ours("hooks"),
        format!("image.repository={repository},image.digest={digest}"),
    );
    let upgrade = |more: &str| {
        let values = format!("{image}{more}");
        let arguments = [
            "upgrade",
            "--install",
            "it",
            chart.to_str().unwrap(),
            "--namespace",
            &namespace,
        ];
        let done = here.run(
            &here.environment.helm,
            &[&arguments[..], &["--timeout", "30s", "--set", &values]].concat(),
        );
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    assert_eq!(upgrade(""), (true, String::new()));
    let (well, said) = upgrade(",hooks.pre-upgrade.fails=true");
    assert!(
        !well && said.contains("pre-upgrade hooks failed") && said.contains("it-pre-upgrade"),
        "{said}"
    );
    // the same image: it serves, and fails where its argument is `test`
    let tested = here.run(&here.environment.helm, &["test", "it", "--namespace", &namespace]);
    assert!(!tested.status.success());
    here.environment.clusters[0]
        .delete_namespace(&namespace)
        .await
        .unwrap();
}
