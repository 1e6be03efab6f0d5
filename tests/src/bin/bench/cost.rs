//! What a question costs the table, few services and little history against many.

use anyhow::Result;
use jiff::Timestamp;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{Digest, EnvironmentName, Hash, ReleaseNumber, Repository, ServiceName};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::release::Release;
use sluice_domain::service::Meta;
use sluice_table::{Table, Transaction, Usage};
use sluice_tests::World;

/// Prints it.
pub async fn cost(world: &World) -> Result<()> {
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
            alarms: Default::default(),
            removed: None,
            first_applied_at: Timestamp::now(),
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
