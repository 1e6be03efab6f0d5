//! Charts of several kinds, ours and others': installed, upgraded, failed, rolled back, and adopted.

use crate::admin::{Images, forget_definitions, generations, grant, images, revoke, show_definitions};
use crate::held::assert_settled;
use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use serde_json::Value;
use sluice_local::image::{Image, Pushed};
use sluice_tests::seen::{until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::{Person, World};
use std::time::{Duration, Instant};

/// Charts at a time: two cores do not go through more any faster.
const AT_ONCE: usize = 3;

/// How long a release that cannot run may take until it is restored. Its own time is twice that.
const FAST: Duration = Duration::from_secs(60);

/// How a chart takes its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// `image.repository` and `image.digest`.
    Digest,
    /// `image.repository` and `image.tag`.
    Tag,
    /// The whole reference, at this path.
    Reference(&'static str),
}

/// A chart, and what it needs.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Whether it is one of `tests/charts`.
    ours: bool,
    takes: Takes,
    /// Values; `STORE` stands for a reference to an image that is no release, `DIGEST` for its digest, `URI` for the repository.
    values: &'static str,
    /// What the reason says of a release that cannot run.
    says: &'static str,
    /// Whether it has objects of definitions of its own.
    defines: bool,
    /// Rights beyond those of every chart: API group, resources. In its namespace, and in the cluster.
    rights: &'static [(&'static str, &'static [&'static str])],
    cluster_rights: &'static [(&'static str, &'static [&'static str])],
}

const OURS: Kind = Kind {
    name: "",
    ours: true,
    takes: Takes::Digest,
    values: "",
    says: "no database",
    defines: false,
    rights: &[],
    cluster_rights: &[],
};

const OTHERS: Kind = Kind {
    ours: false,
    takes: Takes::Tag,
    ..OURS
};

const KINDS: [Kind; 10] = [
    Kind {
        name: "hooks",
        values: "message: one\n",
        // Its hooks run the same image.
        says: "pre-upgrade hooks failed",
        ..OURS
    },
    Kind {
        name: "parts",
        values: "store: {image: {repository: 'URI', digest: 'DIGEST'}}\n",
        ..OURS
    },
    Kind {
        name: "stateful",
        ..OURS
    },
    Kind {
        name: "several",
        ..OURS
    },
    Kind {
        name: "definitions",
        defines: true,
        rights: &[("charts.sluice.dev", &["paints"])],
        ..OURS
    },
    Kind { name: "job", ..OURS },
    Kind {
        name: "descheduler",
        values: "kind: Deployment\nrbac: {create: false}\n",
        ..OTHERS
    },
    Kind {
        name: "external-dns",
        values: "namespaced: true\nrbac: {create: false}\n",
        ..OTHERS
    },
    Kind {
        name: "metrics-server",
        values: "apiService: {create: false}\nrbac: {create: false}\n",
        ..OTHERS
    },
    Kind {
        name: "dapr",
        takes: Takes::Reference("dapr_operator.image.name"),
        values: "global: {rbac: {namespaced: true}}\n\
                 dapr_rbac: {secretReader: {enabled: false}}\n\
                 dapr_sidecar_injector: {enabled: false}\n\
                 dapr_placement: {image: {name: 'STORE'}}\n\
                 dapr_sentry: {image: {name: 'STORE'}}\n\
                 dapr_scheduler: {image: {name: 'STORE'}, cluster: {inMemoryStorage: true}}\n",
        defines: true,
        rights: &[
            ("dapr.io", &["*"]),
            ("rbac.authorization.k8s.io", &["roles", "rolebindings"]),
        ],
        cluster_rights: &[(
            "rbac.authorization.k8s.io",
            &["clusterroles", "clusterrolebindings"],
        )],
        ..OTHERS
    },
];

/// A service that one of the charts delivers.
struct Case {
    kind: Kind,
    service: Delivered,
    world: World,
    ana: Person,
    options: Options,
    /// An image that is no release.
    store: Pushed,
}

impl Kind {
    fn folder(self, world: &World) -> std::path::PathBuf {
        if self.ours {
            Chart::own(self.name, "").folder
        } else {
            world.local.charts.join(self.name)
        }
    }

    fn workload(self) -> String {
        match self.takes {
            Takes::Digest => "image = \"image\"\n".to_owned(),
            Takes::Tag => "image = { repository = \"image.repository\", tag = \"image.tag\" }\n".to_owned(),
            Takes::Reference(path) => format!("image = {{ reference = \"{path}\" }}\n"),
        }
    }

    /// What a person gives helm so that this image runs.
    fn by_hand(self, uri: &str, digest: &str) -> String {
        match self.takes {
            Takes::Digest => format!("image.repository={uri},image.digest={digest}"),
            Takes::Tag => format!("image.repository={uri},image.tag=1@{digest}"),
            Takes::Reference(path) => format!("{path}={uri}:1@{digest}"),
        }
    }
}

impl Case {
    /// A service without a release: Sluice knows nothing of it.
    async fn new(world: &World, kind: Kind, name: &str) -> Result<Self> {
        let options = Options {
            timeout: "120s".to_owned(),
            ..Options::default()
        };
        let service = Delivered::unapplied(world, name, &options).await?;
        let store = service
            .push(&Image::new(&format!("{name} store")), &["store"])
            .await?;
        let mut case = Self {
            kind,
            service,
            world: world.clone(),
            ana: world.person("ana").await?,
            options,
            store,
        };
        case.options.helm = Some(case.chart(kind.values));
        Ok(case)
    }

    fn chart(&self, values: &str) -> Chart {
        let (uri, digest) = (self.service.uri(), &self.store.digest);
        let values = values
            .replace("STORE", &format!("{uri}:1@{digest}"))
            .replace("DIGEST", digest)
            .replace("URI", &uri);
        Chart {
            folder: self.kind.folder(&self.world),
            workload: self.kind.workload(),
            values,
        }
    }

    async fn apply(&self, values: &str) -> Result<()> {
        let options = Options {
            helm: Some(self.chart(values)),
            ..self.options.clone()
        };
        self.service.apply(&self.ana, &options).await.map(drop)
    }

    /// Does what an administrator does once for a chart that has more than others; each step was told by a failure.
    async fn administer(&self, told: bool) -> Result<()> {
        let Kind { name, defines, .. } = self.kind;
        if defines && told {
            let reason = self.refused().await?;
            ensure!(reason.contains("helm show crds"), "{name}: {reason}");
        }
        show_definitions(&self.service, &self.kind.folder(&self.world)).await?;
        if !self.kind.rights.is_empty() {
            if told {
                let reason = self.refused().await?;
                ensure!(reason.contains("infra/cluster/README.md"), "{name}: {reason}");
            }
            grant(&self.service, self.kind.rights, self.kind.cluster_rights).await?;
        }
        Ok(())
    }

    /// Promotes the first release, which something is missing for; what it says.
    async fn refused(&self) -> Result<String> {
        let name = &self.service.name;
        let image = Image::new(&format!("{name} 1"));
        let before = self.ana.json(&["history", name]).await?;
        let pushed = before.pointer("/releases/0").is_some();
        if pushed {
            self.ana.run(&["promote", name, "dev", "1"]).await?;
        } else {
            self.service.push(&image, &["0000001"]).await?;
        }
        let failed = until_state(&self.ana, name, "dev", 1, "failed").await?;
        let reason = failed.get("reason").and_then(Value::as_str);
        Ok(reason.unwrap_or_default().to_owned())
    }

    /// Brings the first release in: by its push, or by a person where it failed before.
    async fn first(&self) -> Result<Pushed> {
        let name = &self.service.name;
        let told = self.kind.defines || !self.kind.rights.is_empty();
        if !told {
            return self.service.deliver(&self.ana, 1).await;
        }
        let pushed = self
            .service
            .push(&Image::new(&format!("{name} 1")), &["0000001"])
            .await?;
        self.ana.run(&["promote", name, "dev", "1"]).await?;
        until_live(&self.ana, name, "dev", 1).await?;
        Ok(pushed)
    }

    /// Asserts that this image runs, and no other release.
    async fn assert_on(&self, pushed: &Pushed) -> Result<()> {
        let Images { mut found } = images(&self.service).await?;
        found.retain(|image| !image.ends_with(&self.store.digest));
        let others: Vec<&String> = found
            .iter()
            .filter(|image| !image.ends_with(&pushed.digest))
            .collect();
        ensure!(
            !found.is_empty() && others.is_empty(),
            "{}: {found:?}, not {}",
            self.kind.name,
            pushed.digest
        );
        assert_settled(&self.service).await
    }

    async fn fails(&self) -> Result<()> {
        let name = &self.service.name;
        let image = Image::new(&format!("{name} 3")).label("sluice.sim/crash-at-start", "no database");
        let started = Instant::now();
        self.service.push(&image, &["0000003"]).await?;
        let failed = until_state(&self.ana, name, "dev", 3, "failed").await?;
        ensure!(started.elapsed() < FAST, "it took {:?}", started.elapsed());
        let reason = failed.get("reason").and_then(Value::as_str).unwrap_or_default();
        ensure!(reason.contains(self.kind.says), "{name}: {reason}");
        until_live(&self.ana, name, "dev", 2).await.map(drop)
    }

    /// Installed, upgraded, failed and restored, rolled back.
    async fn delivered(&self) -> Result<()> {
        let name = &self.service.name;
        self.apply(self.kind.values).await?;
        self.administer(true).await?;
        let first = self.first().await.context("installing")?;
        self.assert_on(&first).await.context("installed")?;
        let second = self.service.deliver(&self.ana, 2).await.context("upgrading")?;
        self.assert_on(&second).await.context("upgraded")?;
        self.fails().await.context("failing")?;
        self.assert_on(&second).await.context("restored")?;
        self.ana.run(&["rollback", name, "dev"]).await?;
        until_live(&self.ana, name, "dev", 1)
            .await
            .context("going back")?;
        self.assert_on(&first).await.context("rolled back")?;
        self.ana.run(&["ledger", "verify", name, "dev"]).await.map(drop)
    }

    /// Installed by a person, taken over where it is.
    async fn adopted(&self) -> Result<()> {
        let name = &self.service.name;
        self.administer(false).await?;
        let before = self
            .service
            .push(&Image::new(&format!("{name} by hand")), &["by-hand"])
            .await?;
        let values = self.service.folder().with_extension("values.yaml");
        std::fs::write(&values, self.chart(self.kind.values).values)?;
        let (values, chart) = (
            values.display().to_string(),
            self.kind.folder(&self.world).display().to_string(),
        );
        let image = self.kind.by_hand(&self.service.uri(), &before.digest);
        let install = [
            "install",
            name,
            &chart,
            "--skip-crds",
            "--values",
            &values,
            "--set",
            &image,
        ];
        self.service.helm("dev", &install).await?.well()?;
        self.assert_on(&before).await.context("installed by hand")?;
        let left = generations(&self.service).await?;
        // When Sluice is told of it, then nothing is written
        self.apply(self.kind.values).await?;
        ensure!(generations(&self.service).await? == left, "something was written");
        // And its first promotion takes over the very same objects
        let first = self.service.deliver(&self.ana, 1).await.context("taking over")?;
        self.assert_on(&first).await.context("taken over")?;
        let now = generations(&self.service).await?;
        let kept = left.iter().all(|one| {
            now.iter()
                .any(|other| (&one.name, &one.uid) == (&other.name, &other.uid))
        });
        ensure!(kept, "{left:?} became {now:?}");
        std::fs::remove_file(values).map_err(Into::into)
    }

    async fn end(&self) -> Result<()> {
        let name = &self.service.name;
        self.service
            .helm("dev", &["uninstall", name, "--no-hooks"])
            .await?
            .well()?;
        if !self.kind.cluster_rights.is_empty() {
            revoke(&self.service).await?;
        }
        self.service.cleanup().await
    }
}

async fn each(kind: Kind, world: &World) -> Result<()> {
    let name = format!("hc-{}", kind.name);
    let case = Case::new(world, kind, &name).await?;
    case.delivered().await?;
    case.end().await?;
    let case = Case::new(world, kind, &format!("{name}-taken")).await?;
    case.adopted().await?;
    forget_definitions(&case.service, &kind.folder(world)).await?;
    case.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_several_kinds_are_delivered() -> Result<()> {
    let world = World::load().await?;
    // CHARTS=dapr runs those that have this in their name only.
    let only = std::env::var("CHARTS").unwrap_or_default();
    let kinds = KINDS.into_iter().filter(|kind| kind.name.contains(&only));
    let mut runs = futures::stream::iter(kinds.map(|kind| {
        let world = &world;
        async move { (kind.name, each(kind, world).await) }
    }))
    .buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some((name, outcome)) = runs.next().await {
        match outcome {
            Ok(()) => println!("ok      {name}"),
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                failed.push(format!("{name}: {error:#}"));
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "{} charts failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    Ok(())
}

#[tokio::test]
async fn a_chart_that_runs_nothing_is_refused() -> Result<()> {
    // A CronJob alone: nothing that runs would tell whether the release is well.
    let world = World::load().await?;
    let kind = Kind {
        name: "descheduler",
        values: "rbac: {create: false}\n",
        ..OTHERS
    };
    let case = Case::new(&world, kind, "hc-nothing").await?;
    case.apply(kind.values).await?;
    let reason = case.refused().await?;
    ensure!(
        reason.contains("no Deployment, StatefulSet or DaemonSet"),
        "{reason}"
    );
    case.service.cleanup().await
}
