//! `make bench`: how fast, against a floor measured in the same run, and what a question costs.
//!
//! The floor is what no tool can beat here: one PATCH of a Deployment of the same size on the same API server, and a
//! watch until its pods are available. Rounds alternate, so that a machine that gets slower slows both.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{Digest, EnvironmentName, Hash, ReleaseNumber, Repository, ServiceName};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::release::Release;
use sluice_domain::service::Meta;
use sluice_local::image::{Image, Pushed};
use sluice_table::{Table, Transaction, Usage};
use sluice_tests::seen::until_live;
use sluice_tests::service::{Delivered, Options};
use sluice_tests::{Person, World};
use std::pin::pin;
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let world = World::load().await?;
    speed(&world).await?;
    cost(&world).await
}

/// Medians and maxima of rounds, in seconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, since: Instant) {
        self.0.push(since.elapsed().as_secs_f64());
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        // Of an even count, halfway between the two in the middle.
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        f64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2))
    }

    fn show(&self, what: &str) {
        let most = self.0.iter().copied().fold(f64::NAN, f64::max);
        println!("{what:<58} {:>7.3} {most:>7.3}", self.median());
    }
}

async fn speed(world: &World) -> Result<()> {
    let ana = world.person("ana").await?;
    let service = Delivered::new(
        world,
        "bench",
        &Options {
            replicas: 3,
            ..Options::default()
        },
    )
    .await?;
    let outcome = rounds(world, &ana, &service).await;
    service.cleanup().await?;
    outcome
}

async fn rounds(world: &World, ana: &Person, service: &Delivered) -> Result<()> {
    let place = service.place("dev")?;
    let client = world.local.cluster(&place.cluster)?.admin().await?;
    let deployments: Api<Deployment> = Api::namespaced(client, &place.namespace);
    let old = service.push(&Image::new("bench 0"), &["0000000"]).await?;
    until_live(ana, &service.name, "dev", 1).await?;
    floor_deployment(world, service, &deployments, &old).await?;
    let (mut write, mut back, mut floor) = (Times::default(), Times::default(), Times::default());
    for round in 1..=ROUNDS {
        let new = Image::new(&format!("bench {round}"));
        let started = Instant::now();
        let pushed = service.push(&new, &[&format!("{round:07x}")]).await?;
        until(&deployments, &service.name, |found| names(found, &pushed)).await?;
        write.add(started);
        until_live(ana, &service.name, "dev", round as u64 + 1).await?;

        let started = Instant::now();
        roll_back(world, service).await?;
        until(&deployments, &service.name, |found| {
            names(found, &old) && available(found)
        })
        .await?;
        back.add(started);
        until_live(ana, &service.name, "dev", 1).await?;

        let (from, to) = if round % 2 == 1 {
            (&old, &pushed)
        } else {
            (&pushed, &old)
        };
        ensure!(from.digest != to.digest);
        let started = Instant::now();
        set_image(world, service, &deployments, to).await?;
        until(&deployments, "floor", |found| {
            names(found, to) && available(found)
        })
        .await?;
        floor.add(started);
    }
    println!(
        "\n{:<58} {:>7} {:>7}",
        format!("seconds, {ROUNDS} rounds, 3 pods"),
        "median",
        "max"
    );
    write.show("push -> rollout's first write");
    back.show("rollback called -> old digest available");
    floor.show("floor: PATCH -> available, same API server");
    let allowed = 1.1 * floor.median() + 0.5;
    println!(
        "rollback: {:.3} s, goal 1.1 x floor + 0.5 s = {allowed:.3} s: {}",
        back.median(),
        met(back.median() <= allowed)
    );
    println!(
        "first write: {:.3} s, goal 1 s: {}",
        write.median(),
        met(write.median() < 1.0)
    );
    Ok(())
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

async fn roll_back(world: &World, service: &Delivered) -> Result<()> {
    let function = world
        .local
        .sluice()?
        .functions
        .get("roll-back")
        .context("no roll-back")?
        .clone();
    let payload = serde_json::to_vec(&json!({"service": service.name, "environment": "dev"}))?;
    let client = aws_sdk_lambda::Client::new(&world.config);
    let answer = client
        .invoke()
        .function_name(function)
        .payload(payload.into())
        .send()
        .await?;
    let said = answer
        .payload()
        .map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned());
    ensure!(answer.function_error().is_none(), "roll-back: {said:?}");
    Ok(())
}

/// Waits, by one watch, until the Deployment is as asked.
async fn until(api: &Api<Deployment>, name: &str, done: impl Fn(&Deployment) -> bool) -> Result<()> {
    let found = api.get_opt(name).await?;
    if found.as_ref().is_some_and(&done) {
        return Ok(());
    }
    let version = api
        .list_metadata(&Default::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    if api.get_opt(name).await?.as_ref().is_some_and(&done) {
        return Ok(());
    }
    let parameters = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(LIMIT.as_secs() as u32);
    let mut events = pin!(api.watch(&parameters, &version).await?.boxed());
    while let Some(event) = events.try_next().await? {
        if let WatchEvent::Added(found) | WatchEvent::Modified(found) = event
            && done(&found)
        {
            return Ok(());
        }
    }
    anyhow::bail!("{name} was not as asked within {} s", LIMIT.as_secs())
}

fn names(found: &Deployment, pushed: &Pushed) -> bool {
    let containers = found
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
        .map(|spec| &spec.containers);
    let ends = |image: &String| image.ends_with(&pushed.digest);
    containers.is_some_and(|containers| {
        containers
            .iter()
            .any(|container| container.image.as_ref().is_some_and(ends))
    })
}

fn available(found: &Deployment) -> bool {
    let Some(status) = &found.status else { return false };
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == found.metadata.generation
        && status.updated_replicas == wanted
        && status.available_replicas == wanted
        && status.replicas == wanted
}

fn image(world: &World, service: &Delivered, pushed: &Pushed) -> String {
    format!(
        "{}/{}@{}",
        world.local.registry_host(),
        service.name,
        pushed.digest
    )
}

async fn floor_deployment(
    world: &World,
    service: &Delivered,
    api: &Api<Deployment>,
    pushed: &Pushed,
) -> Result<()> {
    let labels = json!({"app": "floor"});
    let container = json!({"name": "api", "image": image(world, service, pushed)});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "floor"}, "spec": {
        "replicas": 3, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}});
    api.patch(
        "floor",
        &PatchParams::apply("bench").force(),
        &Patch::Apply(&deployment),
    )
    .await?;
    until(api, "floor", available).await
}

async fn set_image(world: &World, service: &Delivered, api: &Api<Deployment>, pushed: &Pushed) -> Result<()> {
    let container = json!({"name": "api", "image": image(world, service, pushed)});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    api.patch("floor", &PatchParams::default(), &Patch::Strategic(&patch))
        .await?;
    Ok(())
}

/// What a question costs the table, few services and little history against many.
async fn cost(world: &World) -> Result<()> {
    let name = world.local.sluice()?.table.clone();
    let table = Table::new(aws_sdk_dynamodb::Client::new(&world.config), name);
    fill(&table, 0, 10, 100).await?;
    release(&table, 1, 30).await?;
    let small = ask(&table).await?;
    fill(&table, 10, 1_000, 10_000).await?;
    release(&table, 31, 1_000).await?;
    let large = ask(&table).await?;
    println!(
        "\n{:<34} {:>21} {:>24}",
        "requests / items read", "10 services, 30", "1,000 services, 1,000"
    );
    println!(
        "{:<34} {:>21} {:>24}",
        "", "releases, 100 entries", "releases, 10,000 entries"
    );
    for ((what, few), (_, many)) in small.iter().zip(&large) {
        let shown = |usage: &Usage| format!("{} / {}", usage.requests, usage.items_read);
        println!("{what:<34} {:>21} {:>24}", shown(few), shown(many));
    }
    Ok(())
}

fn service(number: usize) -> Result<ServiceName> {
    Ok(ServiceName::parse(&format!("cost-{number}"))?)
}

/// Makes services `from..to`, and brings the first one's ledger to `entries`.
async fn fill(table: &Table, from: usize, to: usize, entries: u64) -> Result<()> {
    let environment = EnvironmentName::parse("dev")?;
    for number in from..to {
        let meta = Meta {
            service: service(number)?,
            repository: Repository::parse(&format!("cost-{number}"))?,
            pipeline: Hash::parse(&"0".repeat(64))?,
            last_number: 0,
            newest: None,
            first_applied_at: Timestamp::now(),
            removed: None,
            environments: vec![environment.clone()],
            v: 0,
        };
        let mut transaction = Transaction::new();
        transaction.new_service(&meta);
        transaction.create(&Environment::new(meta.service.clone(), environment.clone()));
        transaction.commit(table).await?;
    }
    let first = service(0)?;
    loop {
        let mut state = table.environment(&first, &environment).await?;
        let missing = entries.saturating_sub(state.ledger.seq).min(40);
        if missing == 0 {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        for _ in 0..missing {
            let record = Record {
                event: Event::PromotionWanted,
                by: "bench".into(),
                release: None,
                digest: None,
                execution: None,
                fence: None,
                reason: None,
            };
            transaction.record(&mut state, record, Timestamp::now());
        }
        transaction.update(&state);
        transaction.commit(table).await?;
    }
}

/// Gives the first service releases `from..=to`.
async fn release(table: &Table, from: u32, to: u32) -> Result<()> {
    for number in from..=to {
        let release = Release {
            service: service(0)?,
            number: ReleaseNumber(number),
            digest: Digest::parse(&format!("sha256:{number:064x}"))?,
            children: Vec::new(),
            uri: "registry/cost-0".to_owned(),
            tags: vec![format!("{number:07x}")],
            commit: None,
            pushed_at: Timestamp::now(),
            recorded_at: Timestamp::now(),
            pipeline: Hash::parse(&"0".repeat(64))?,
            quarantine: None,
            v: 0,
        };
        let mut transaction = Transaction::new();
        transaction.new_release(&release);
        transaction.commit(table).await?;
    }
    Ok(())
}

async fn ask(table: &Table) -> Result<Vec<(&'static str, Usage)>> {
    let (first, environment) = (service(0)?, EnvironmentName::parse("dev")?);
    let repository = Repository::parse("cost-0")?;
    let mut asked = Vec::new();
    let mut before = table.usage();
    let mut note = |what, after: Usage| {
        asked.push((
            what,
            Usage {
                requests: after.requests - before.requests,
                items_read: after.items_read - before.items_read,
            },
        ));
        before = after;
    };
    table.overview(&first).await?;
    note("status of a service", table.usage());
    table.environment(&first, &environment).await?;
    note("a decision's environment", table.usage());
    table.services_of(&repository).await?;
    note("whose repository is it", table.usage());
    table.releases(&first, None, 20).await?;
    table.promotions(&first, &environment, None, 60).await?;
    note("history, a page", table.usage());
    table.ledger_tail(&first, &environment, 20).await?;
    note("the newest ledger entries", table.usage());
    let mut from = Some(1);
    while let Some(next) = from {
        from = table.ledger(&first, &environment, next, 500).await?.next;
    }
    note("ledger verify (all entries)", table.usage());
    let mut after = None;
    loop {
        let page = table.services(after.as_ref(), 100).await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    note("a listing of all services", table.usage());
    Ok(asked)
}
