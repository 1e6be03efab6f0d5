//! A canary of a test's own: its alarm, its releases, and what is asserted of its traffic, its pods and its ledger.

use crate::service::route;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_domain::environment::{Environment, Phase};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::tracks::Track;
use sluice_local::image::{Image, Pushed};
use sluice_tests::outside::{executions, ledger};
use sluice_tests::rows::{row, until_row};
use sluice_tests::seen::{PATIENCE, until_live};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::traffic::{self, History, RouterKind};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};

/// A service whose releases are canaries on an HTTPRoute of its own name.
pub struct Scene {
    pub world: World,
    pub ana: Person,
    pub service: Delivered,
    pub options: Options,
}

/// The steps of a canary, as TOML, and more lines of the environment.
pub fn steps(name: &str, steps: &[(u32, &str)], more: &str) -> String {
    let step = |(weight, bake): &(u32, &str)| format!("{{ weight = {weight}, bake = \"{bake}\" }}");
    let steps: Vec<String> = steps.iter().map(step).collect();
    format!(
        "strategy = {{ canary = {{ router = {{ http_route = \"{name}\" }}, steps = [{}] }} }}\n{more}",
        steps.join(", ")
    )
}

impl Scene {
    /// With these lines of its environment, and so many pods.
    pub async fn new(name: &str, environment: &str, replicas: u32) -> Result<Self> {
        let world = World::load().await?;
        let ana = world.person("ana").await?;
        let options = Options {
            exposed: true,
            replicas,
            environment: environment.to_owned(),
            ..Options::default()
        };
        let service = Delivered::new(&world, name, &options).await?;
        route(&service, name).await?;
        Ok(Self {
            world,
            ana,
            service,
            options,
        })
    }

    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// A Deployment on a track.
    pub fn on(&self, track: Track) -> String {
        track.of(self.name())
    }

    /// Pushes a release of this image.
    pub async fn push(&self, image: &Image, number: u64) -> Result<Pushed> {
        self.service.push(image, &[&format!("{number:07x}")]).await
    }

    /// Pushes a release of its own content.
    pub async fn push_good(&self, number: u64) -> Result<Pushed> {
        self.push(&Image::new(&format!("{} {number}", self.name())), number)
            .await
    }

    /// Pushes a release, and has it take all traffic as soon as its first step bakes.
    pub async fn hurry(&self, number: u32) -> Result<Pushed> {
        let pushed = self.push_good(u64::from(number)).await?;
        self.until_baking(number).await?;
        self.promote(&["--full", "--reason", "a test is in a hurry"], number)
            .await?;
        until_live(&self.ana, self.name(), "dev", u64::from(number)).await?;
        Ok(pushed)
    }

    /// `sluice promote` of a release.
    pub async fn promote(&self, more: &[&str], number: u32) -> Result<String> {
        let number = number.to_string();
        let arguments = ["promote", self.name(), "dev", &number];
        self.ana.run(&[&arguments, more].concat()).await
    }

    pub async fn until_live(&self, number: u64) -> Result<Value> {
        until_live(&self.ana, self.name(), "dev", number).await
    }

    pub async fn row(&self) -> Result<Environment> {
        row(&self.world, self.name(), "dev").await
    }

    /// Waits until a release's present weights are baked.
    pub async fn until_baking(&self, number: u32) -> Result<Environment> {
        until_row(&self.world, self.name(), "dev", PATIENCE, |row| {
            row.under_way().is_some_and(|rollout| {
                rollout.phase == Phase::Baking && rollout.release == Some(ReleaseNumber(number))
            })
        })
        .await
    }

    /// The ledger's entries of this event that are about this release.
    pub async fn events(&self, event: &str, number: u32) -> Result<Vec<Value>> {
        let all = ledger(&self.ana, self.name(), "dev").await?;
        let is_it = |one: &Value| {
            one.get("event").is_some_and(|found| found == event)
                && one.get("release").is_some_and(|found| *found == number)
        };
        Ok(all.into_iter().filter(is_it).collect())
    }

    /// Waits until there are so many of them.
    pub async fn until_events(&self, event: &str, number: u32, count: usize) -> Result<Vec<Value>> {
        let what = format!("{count} times {event} of #{number} of {}", self.name());
        until(&what, PATIENCE, || async {
            let found = self.events(event, number).await?;
            Ok(if found.len() == count {
                Ok(found)
            } else {
                Err(format!("{:?}", self.row().await?.rollout))
            })
        })
        .await
    }

    /// How many rollbacks were ever executed here.
    pub async fn rollbacks(&self) -> Result<usize> {
        let prefix = format!("{}-dev-r", self.name());
        Ok(executions(&self.world, "rollback", &prefix).await?.len())
    }

    /// Deletes every pod on a track, as a drained node does.
    pub async fn evict(&self, track: Track) -> Result<()> {
        let (client, namespace) = self.service.admin("dev").await?;
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        let label = format!("sluice.dev/track={track}");
        let found = pods.list(&ListParams::default().labels(&label)).await?;
        ensure!(!found.items.is_empty(), "there is no pod on {track}");
        for pod in found {
            let name = pod.metadata.name.context("a pod has a name")?;
            pods.delete(&name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// What the routers of the namespace do from now on (README of infra/local, "What routes traffic").
    pub async fn routers(&self, annotation: &str, value: &str) -> Result<()> {
        let (client, namespace) = self.service.admin("dev").await?;
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        Api::<Namespace>::all(client)
            .patch(&namespace, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Asserts what holds of every revision of the namespace: no write gave traffic to a track without as many ready pods as
    /// its part of `full` needs, whatever had traffic was asked to keep its pods, only these images had any, the same of the
    /// root Service, and green's weights were these, one after another.
    pub async fn assert_traffic(&self, full: u32, images: &[&Pushed], green: &[f64]) -> Result<()> {
        let place = self.service.place("dev")?;
        let history = traffic::history(&self.world.local, &place.cluster, &place.namespace).await?;
        let digests: Vec<&str> = images.iter().map(|image| image.digest.as_str()).collect();
        let route = history.of(RouterKind::HttpRoute, self.name())?;
        route.assert_no_dead_shift(|percent| part(full, percent))?;
        route.assert_only(&digests)?;
        let walked = route.walk(&self.on(Track::Green));
        ensure!(walked == green, "green had {walked:?}, not {green:?}");
        let root = history.of(RouterKind::Service, self.name())?;
        root.assert_no_dead_shift(|_| 1)?;
        root.assert_only(&digests)?;
        keeps_pods(&history, self.name(), full)
    }

    /// Ends well: the ledger is whole.
    pub async fn done(self) -> Result<()> {
        self.ana.run(&["ledger", "verify", self.name(), "dev"]).await?;
        self.service.cleanup().await
    }
}

fn part(full: u32, percent: f64) -> usize {
    let full = f64::from(full);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let pods = (full * percent / 100.0).ceil() as usize;
    pods
}

/// At no moment a Deployment was asked for fewer pods than the weight that its Service was served with needs.
fn keeps_pods(history: &History, name: &str, full: u32) -> Result<()> {
    for moment in &history.moments {
        let routes = moment
            .routers
            .iter()
            .filter(|one| one.kind == RouterKind::HttpRoute && one.name == name);
        for share in routes.flat_map(|route| route.served.iter().chain(&route.asked)) {
            let Some(replicas) = moment.replicas.get(&share.backend) else {
                continue;
            };
            let wanted = i64::try_from(part(full, share.percent))?;
            ensure!(
                *replicas >= wanted,
                "at revision {} {} has {} % of the traffic and is asked for {replicas} pods, not {wanted}: {:?}",
                moment.revision,
                share.backend,
                share.percent,
                moment.changed
            );
        }
    }
    Ok(())
}
