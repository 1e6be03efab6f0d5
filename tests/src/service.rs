//! A service of a test's own: a repository, namespaces and a pipeline file that nobody else uses.

use crate::seen::{Running, assert_runs, until_live};
use crate::{Person, Said, World};
use anyhow::{Context, Result};
use serde_json::Value;
use sluice_local::image::{Image, Pushed};
use std::path::PathBuf;

/// Where environments are: in the order in which a release goes through them.
const CLUSTERS: [&str; 3] = ["mc-staging-eks", "mc-staging-eks", "mc-prod-eks"];
const NAMES: [&str; 3] = ["dev", "staging", "production"];

/// A service of a test's own.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The service, and its repository's and its Deployment's name.
    pub name: String,
    /// Each environment's cluster and namespace.
    pub places: Vec<Place>,
    world: World,
    folder: PathBuf,
}

/// Where an environment is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The environment.
    pub environment: String,
    /// Its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
}

/// How the service is delivered.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many of dev, staging and production.
    pub environments: usize,
    /// Whether the last one asks Ana or Ben.
    pub approval: bool,
    /// Pods in each environment.
    pub replicas: u32,
    /// For a rollout, such as `60s`.
    pub timeout: String,
    /// The content of the ConfigMap.
    pub config: String,
    /// Whether its manifests have a Service of its name.
    pub exposed: bool,
    /// Whether its Deployment is one that somebody else made, which the pipeline only names.
    pub adopted: bool,
    /// More manifests, as YAML documents.
    pub manifests: String,
    /// Where its images are pushed; none: a repository of its own name.
    pub repository: Option<String>,
    /// The chart that delivers it; none: manifests of its own.
    pub helm: Option<Chart>,
    /// More keys of every environment, as TOML lines.
    pub environment: String,
    /// More keys of the first environment alone, as TOML lines.
    pub first: String,
    /// More files, by their path below the service's own folder.
    pub files: Vec<(String, String)>,
}

/// A chart that delivers a service.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The chart's folder.
    pub folder: PathBuf,
    /// The keys of `[workload.helm]`, as TOML lines; `chart` where it is not the folder.
    pub workload: String,
    /// The values of every environment, as YAML.
    pub values: String,
}

impl Chart {
    /// One of `tests/charts`, whose `image` takes the release.
    pub fn own(name: &str, values: &str) -> Self {
        Self {
            folder: crate::world::root().join("tests/charts").join(name),
            workload: "image = \"image\"\n".to_owned(),
            values: values.to_owned(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        let (timeout, config) = ("60s".to_owned(), "one".to_owned());
        Self {
            environments: 1,
            approval: false,
            replicas: 2,
            timeout,
            config,
            exposed: false,
            adopted: false,
            manifests: String::new(),
            repository: None,
            helm: None,
            environment: String::new(),
            first: String::new(),
            files: Vec::new(),
        }
    }
}

impl Delivered {
    /// Makes its repository and namespaces, and publishes its pipeline as Ana.
    pub async fn new(world: &World, name: &str, options: &Options) -> Result<Self> {
        let delivered = Self::unapplied(world, name, options).await?;
        delivered.apply(&world.person("ana").await?, options).await?;
        Ok(delivered)
    }

    /// Makes its repository and namespaces; Sluice knows nothing of it yet.
    pub async fn unapplied(world: &World, name: &str, options: &Options) -> Result<Self> {
        let ecr = aws_sdk_ecr::Client::new(&world.config);
        ecr.create_repository()
            .repository_name(name)
            .send()
            .await
            .context("creating the repository")?;
        let mut places = Vec::new();
        for (environment, cluster) in NAMES.iter().zip(CLUSTERS).take(options.environments) {
            let namespace = world
                .local
                .cluster(cluster)?
                .create_test_namespace(&format!("{name}-{environment}"))
                .await?;
            places.push(Place {
                environment: (*environment).to_owned(),
                cluster: cluster.to_owned(),
                namespace,
            });
        }
        let folder = std::env::temp_dir().join(format!("sluice-{}-{name}", std::process::id()));
        Ok(Self {
            name: name.to_owned(),
            places,
            world: world.clone(),
            folder,
        })
    }

    /// Writes its files and publishes them as somebody.
    pub async fn apply(&self, person: &Person, options: &Options) -> Result<Said> {
        let said = self.publish(person, options).await?;
        anyhow::ensure!(
            said.status == 0,
            "apply ended with {}: {}{}",
            said.status,
            said.out,
            said.err
        );
        Ok(said)
    }

    /// As [`Delivered::apply`], whatever came of it.
    pub async fn publish(&self, person: &Person, options: &Options) -> Result<Said> {
        std::fs::create_dir_all(&self.folder)?;
        match &options.helm {
            Some(chart) => {
                let folder = self.folder.join("chart");
                if folder.is_dir() {
                    std::fs::remove_dir_all(&folder)?;
                }
                copy(&chart.folder, &folder)?;
                std::fs::write(self.folder.join("values.yaml"), &chart.values)?;
            }
            None => std::fs::write(self.folder.join("manifests.yaml"), self.manifests(options))?,
        }
        for (path, content) in &options.files {
            std::fs::write(self.folder.join(path), content)?;
        }
        let file = self.folder.join("pipeline.toml");
        std::fs::write(&file, self.pipeline(options))?;
        let root = self.folder.display().to_string();
        person
            .sluice(&["apply", &file.display().to_string(), "--root", &root])
            .await
    }

    fn pipeline(&self, options: &Options) -> String {
        let Self { name, places, .. } = self;
        let repository = options.repository.as_deref().unwrap_or(name);
        let mut text = format!(
            "service = \"{name}\"\n[source]\nrepository = \"{repository}\"\ntags = [\"^[0-9a-f]{{7,40}}$\"]\n"
        );
        text += &match &options.helm {
            Some(chart) if chart.workload.contains("chart = ") => {
                format!("[workload.helm]\n{}", chart.workload)
            }
            Some(chart) => format!("[workload.helm]\nchart = \"chart\"\n{}", chart.workload),
            None if options.adopted => {
                format!("[workload.deployment]\nnames = [\"{name}\"]\ncontainer = \"api\"\n")
            }
            None => {
                "[workload.deployment]\nmanifests = [\"manifests.yaml\"]\ncontainer = \"api\"\n".to_owned()
            }
        };
        // A published chart's probes may take longer than its pods do here, and that is what counts before a promotion.
        let is_own = |chart: &Chart| {
            chart
                .folder
                .starts_with(crate::world::root().join("tests/charts"))
        };
        let back = match &options.helm {
            Some(chart) if !is_own(chart) => "10m",
            _ => "60s",
        };
        for (number, place) in places.iter().enumerate() {
            let Place {
                environment,
                cluster,
                namespace,
            } = place;
            text += &format!(
                "[[environment]]\nname = \"{environment}\"\ncluster = \"{cluster}\"\nnamespace = \"{namespace}\"\n\
                 timeout = \"{}\"\nrollback_within = \"{back}\"\n",
                options.timeout
            );
            if options.helm.is_some() {
                text += "values = [\"values.yaml\"]\n";
            }
            text += &options.environment;
            if number == 0 {
                text += &options.first;
            }
            if options.approval && number + 1 == places.len() {
                text += "operators = [\"ana\", \"ben\"]\n\
                         approval = { approvers = [\"ana\", \"ben\"], quorum = 1, expires = \"1h\" }\n";
            }
        }
        text + "[people.ana]\niam = \"role/sso-ana\"\n[people.ben]\niam = \"role/sso-ben\"\n"
    }

    /// Its manifests, as they are packaged.
    pub fn manifests(&self, options: &Options) -> String {
        let (name, Options { replicas, config, .. }) = (&self.name, options);
        let exposed = if options.exposed {
            format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n"
            )
        } else {
            String::new()
        };
        let workload = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}-config}}\ndata: {{SETTING: \"{config}\"}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  \
             selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
             spec:\n      containers:\n      - name: api\n        envFrom: [{{configMapRef: {{name: {name}-config}}}}]\n"
        );
        workload + &exposed + &options.manifests
    }

    /// The namespace of an environment, with all rights.
    pub async fn admin(&self, environment: &str) -> Result<(kube::Client, String)> {
        let place = self.place(environment)?;
        let client = self.world.local.cluster(&place.cluster)?.admin().await?;
        Ok((client, place.namespace.clone()))
    }

    /// Runs the real helm against an environment as the cluster's administrator: what somebody does by hand.
    pub async fn helm(&self, environment: &str, arguments: &[&str]) -> Result<Said> {
        let place = self.place(environment)?;
        let cluster = self.world.local.cluster(&place.cluster)?;
        let output = tokio::process::Command::new(&self.world.local.helm)
            .args(arguments)
            .arg("--namespace")
            .arg(&place.namespace)
            .env("KUBECONFIG", &cluster.kubeconfig)
            // helm keeps what it learnt of an API server by its port, and ports come again.
            .env("HOME", self.folder.join("home"))
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(Said::of(&output))
    }

    /// helm's own history of a release in an environment, oldest first.
    pub async fn helm_history(&self, environment: &str, release: &str) -> Result<Vec<Value>> {
        let wanted = ["history", release, "--output", "json"];
        let said = self.helm(environment, &wanted).await?.well()?;
        Ok(serde_json::from_str(&said)?)
    }

    /// Installs a chart in dev as somebody who has no Sluice: with an image of its own, which is answered, and the message
    /// `hand`.
    pub async fn install_by_hand(&self, options: &Options) -> Result<Pushed> {
        let pushed = self.push(&Image::new("before"), &["by-hand"]).await?;
        let chart = options.helm.as_ref().context("a chart")?;
        let folder = chart.folder.display().to_string();
        let image = format!("image.repository={},image.digest={}", self.uri(), pushed.digest);
        let wanted = [
            "install",
            &self.name,
            &folder,
            "--set",
            &image,
            "--set",
            "message=hand",
        ];
        self.helm("dev", &wanted).await?.well()?;
        Ok(pushed)
    }

    /// Its repository as AWS knows it.
    pub fn uri(&self) -> String {
        let (account, region) = (sluice_local::aws::ACCOUNT, &self.world.local.region);
        format!("{account}.dkr.ecr.{region}.amazonaws.com/{}", self.name)
    }

    /// The folder that its files lie in.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Pushes an image of this content under these tags.
    pub async fn push(&self, image: &Image, tags: &[&str]) -> Result<Pushed> {
        self.world.push(&self.name, image, tags).await
    }

    /// Pushes a release of its own content, and waits until it is live in the first environment.
    pub async fn deliver(&self, person: &Person, number: u64) -> Result<Pushed> {
        let image = Image::new(&format!("{} {number}", self.name));
        let pushed = self.push(&image, &[&format!("{number:07x}")]).await?;
        until_live(person, &self.name, "dev", number).await?;
        Ok(pushed)
    }

    /// Asserts that every pod of the first environment is on exactly this image.
    pub async fn assert_runs(&self, pushed: &Pushed) -> Result<Running> {
        let Place {
            cluster, namespace, ..
        } = self.place("dev")?;
        assert_runs(&self.world, cluster, namespace, &self.name, &pushed.digest).await
    }

    /// Where an environment is.
    pub fn place(&self, environment: &str) -> Result<&Place> {
        let found = self.places.iter().find(|place| place.environment == environment);
        found.with_context(|| format!("{} has no environment {environment}", self.name))
    }

    /// Takes away what was made for it in the clusters and on disk. Rows and images go with the environment.
    pub async fn cleanup(&self) -> Result<()> {
        for place in &self.places {
            self.world
                .local
                .cluster(&place.cluster)?
                .delete_namespace(&place.namespace)
                .await?;
        }
        std::fs::remove_dir_all(&self.folder).context("removing the test's folder")
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
