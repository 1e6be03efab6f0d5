//! `sluice ledger export`: every entry as a line of JSON, and the head as the last line.

use super::{HeadLine, pages};
use crate::args::{Global, LedgerExport, Place};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Output, unwritable};
use crate::patience::waiting_for;
use crate::text::{count, plain};
use serde::Serialize;
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_domain::ledger::{Check, Head};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What was exported, for programs.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    service: &'a ServiceName,
    environment: &'a EnvironmentName,
    entries: u64,
    head: &'a Head,
    file: Option<&'a Path>,
    ok: bool,
    faults: &'a [String],
}

/// Exports; a ledger that is not whole is exported all the same, as evidence, and said to be so.
pub async fn run(global: &Global, output: &Output, args: &LedgerExport) -> Result<Exit, Failure> {
    let client = Client::open(global).await?;
    let Some(file) = &args.file else {
        let mut out = BufWriter::new(io::stdout().lock());
        let (entries, head, faults) =
            stream(&client, output, &args.place, &mut out, "standard output").await?;
        return tell(output, args, entries, &head, &faults, false);
    };
    let partial = partial(file);
    let written = to_file(&client, output, &args.place, &partial).await;
    let (entries, head, faults) = written.inspect_err(|_| drop(std::fs::remove_file(&partial)))?;
    std::fs::rename(&partial, file).map_err(|error| unwritable(&file.display().to_string(), error))?;
    tell(output, args, entries, &head, &faults, true)
}

/// A half-written export never has the name of a whole one.
fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    name.into()
}

async fn to_file(
    client: &Client,
    output: &Output,
    place: &Place,
    file: &Path,
) -> Result<(u64, Head, Vec<String>), Failure> {
    let name = file.display().to_string();
    let mut out = BufWriter::new(File::create_new(file).map_err(|error| unwritable(&name, error))?);
    let done = stream(client, output, place, &mut out, &name).await?;
    out.get_ref()
        .sync_all()
        .map_err(|error| unwritable(&name, error))?;
    Ok(done)
}

/// Writes every line, and checks the chain on the way.
async fn stream(
    client: &Client,
    output: &Output,
    place: &Place,
    out: &mut impl Write,
    to: &str,
) -> Result<(u64, Head, Vec<String>), Failure> {
    let (mut entries, mut chain) = (0, Check::default());
    let reading = pages::read(client, &place.service, &place.environment, |entry| {
        entries += 1;
        chain.next(&entry);
        line(out, &entry, to)
    });
    let head = waiting_for(output, "the ledger's entries", reading).await?;
    line(out, &HeadLine { head: head.clone() }, to)?;
    out.flush().map_err(|error| unwritable(to, error))?;
    let faults = chain
        .finish(Some(&head))
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok((entries, head, faults))
}

fn line(out: &mut impl Write, value: &impl Serialize, to: &str) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value).map_err(|error| unwritable(to, error.into()))?;
    out.write_all(b"\n").map_err(|error| unwritable(to, error))
}

/// Says what was done. Where the entries went to standard output, only standard error is free.
fn tell(
    output: &Output,
    args: &LedgerExport,
    entries: u64,
    head: &Head,
    faults: &[String],
    to_file: bool,
) -> Result<Exit, Failure> {
    let Place { service, environment } = &args.place;
    let file = args.file.as_deref();
    let text = format!(
        "Exported {} of {service} {environment}.",
        count(entries, "entry", "entries")
    );
    match file {
        Some(file) if to_file => {
            let next = format!(
                "next: sluice ledger verify --file {}",
                plain(&file.display().to_string())
            );
            let ok = faults.is_empty();
            let exported = Exported {
                service,
                environment,
                entries,
                head,
                file: Some(file),
                ok,
                faults,
            };
            output.answer(&format!("{text}\n{next}"), &exported)?;
        }
        _ => output.remark(&text),
    }
    if faults.is_empty() {
        return Ok(Exit::Ok);
    }
    let message = format!("The ledger of {service} {environment} is not whole; it was exported as it is.");
    Err(Failure {
        faults: faults.to_vec(),
        ..Failure::new(Exit::LedgerFault, message)
    })
}
