//! `sluice ledger verify`: is the record whole?

use super::{lines, pages};
use crate::args::{Global, LedgerVerify};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::patience::{spinner, waiting_for};
use crate::text::count;
use indicatif::HumanBytes;
use serde::Serialize;
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_domain::ledger::{Check, Head};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Verified {
    ok: bool,
    service: Option<ServiceName>,
    environment: Option<EnvironmentName>,
    entries: u64,
    head: Option<Head>,
    faults: Vec<String>,
}

/// Checks the table's ledger, or an export, or an export against the table's ledger.
pub async fn run(global: &Global, output: &Output, args: &LedgerVerify) -> Result<Exit, Failure> {
    let place = args.service.as_ref().zip(args.environment.as_ref());
    let verified = match (&args.file, place) {
        (Some(file), place) => {
            let mut verified = offline(output, file)?;
            if let Some((service, environment)) = place {
                compare(global, output, &mut verified, service, environment).await?;
            }
            verified
        }
        (None, Some((service, environment))) => online(global, output, service, environment).await?,
        (None, None) => {
            let message = "Name a service and an environment, or an export with --file.";
            return Err(Failure::new(Exit::Usage, message).next("sluice ledger verify --help"));
        }
    };
    conclude(output, args.file.as_deref(), verified)
}

fn offline(output: &Output, path: &Path) -> Result<Verified, Failure> {
    let file = File::open(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound {
            Exit::NotFound
        } else {
            Exit::Unexpected
        };
        Failure::new(exit, format!("The export {} cannot be opened.", path.display())).because(error)
    })?;
    let (started, mut read, mut shown) = (Instant::now(), 0, None);
    let checked = lines::check(BufReader::new(file), |bytes| {
        read += bytes;
        if started.elapsed() >= Duration::from_secs(2) && output.is_watched() {
            let spinner = shown.get_or_insert_with(spinner);
            spinner.set_message(format!("checked {}", HumanBytes(read)));
        }
    })?;
    if let Some(spinner) = shown {
        spinner.finish_and_clear();
    }
    let (service, environment) = checked.of.unzip();
    let ok = checked.faults.is_empty();
    Ok(Verified {
        ok,
        service,
        environment,
        entries: checked.entries,
        head: checked.head,
        faults: checked.faults,
    })
}

async fn online(
    global: &Global,
    output: &Output,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<Verified, Failure> {
    let client = Client::open(global).await?;
    let (mut entries, mut chain, mut foreign) = (0, Check::default(), Vec::new());
    let reading = pages::read(&client, service, environment, |entry| {
        entries += 1;
        if (&entry.service, &entry.environment) != (service, environment) {
            foreign.push(format!(
                "entry {} is of {} {}",
                entry.seq, entry.service, entry.environment
            ));
        }
        chain.next(&entry);
        Ok(())
    });
    let head = waiting_for(output, "the ledger's entries", reading).await?;
    let chain = chain.finish(Some(&head));
    let faults: Vec<String> = foreign
        .into_iter()
        .chain(chain.iter().map(ToString::to_string))
        .collect();
    Ok(Verified {
        ok: faults.is_empty(),
        service: Some(service.clone()),
        environment: Some(environment.clone()),
        entries,
        head: Some(head),
        faults,
    })
}

/// An export that was rewritten whole is whole: only the table's own entry at its end tells.
async fn compare(
    global: &Global,
    output: &Output,
    verified: &mut Verified,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<(), Failure> {
    let of = verified.service.as_ref().zip(verified.environment.as_ref());
    if let Some((found_service, found_environment)) = of.filter(|of| *of != (service, environment)) {
        let fault =
            format!("the export is of {found_service} {found_environment}, not of {service} {environment}");
        verified.faults.push(fault);
    } else if let Some(head) = verified.head.clone().filter(|head| head.seq > 0) {
        let client = Client::open(global).await?;
        let asked = pages::page(&client, service, environment, head.seq - 1, 1);
        let (entries, _) = waiting_for(output, "the ledger's entry", asked).await?;
        match entries.first().filter(|entry| entry.seq == head.seq) {
            None => verified.faults.push(format!(
                "entry {} of the export is not in the table any more",
                head.seq
            )),
            Some(entry) if entry.hash != head.hash => {
                let (seq, stored, exported) = (head.seq, &entry.hash, &head.hash);
                verified.faults.push(format!(
                    "entry {seq} is {stored} in the table and {exported} in the export"
                ));
            }
            Some(_) => {}
        }
    }
    verified.ok = verified.faults.is_empty();
    Ok(())
}

fn conclude(output: &Output, file: Option<&Path>, verified: Verified) -> Result<Exit, Failure> {
    let whose = match (&verified.service, &verified.environment, file) {
        (Some(service), Some(environment), _) => format!("{service} {environment}"),
        (_, _, Some(file)) => file.display().to_string(),
        _ => "the ledger".to_owned(),
    };
    if output.is_json() {
        output.json(&verified)?;
        return Ok(if verified.ok { Exit::Ok } else { Exit::LedgerFault });
    }
    if verified.ok {
        let hash = verified.head.as_ref().filter(|head| head.seq > 0);
        let end = hash.map(|head| format!(", ending in {}", head.hash.get(..12).unwrap_or(&head.hash)));
        let entries = count(verified.entries, "entry", "entries");
        output.print(&format!(
            "{whose}: {entries}{}; the chain is whole.",
            end.unwrap_or_default()
        ))?;
        return Ok(Exit::Ok);
    }
    let faults = count(verified.faults.len() as u64, "fault", "faults");
    let message = format!("{whose}: the record is not whole: {faults}.");
    Err(Failure {
        faults: verified.faults,
        ..Failure::new(Exit::LedgerFault, message)
    })
}
