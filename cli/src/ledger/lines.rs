//! Checking an export line by line, so that a large one needs no memory.

use super::HeadLine;
use crate::failure::{Exit, Failure};
use serde_json::Value;
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_domain::ledger::{Check, Entry, Head};
use std::io::{BufRead, Read};

/// An entry has about 500 bytes; a line of more than this is not one, and is not held.
const LONGEST_LINE: u64 = 256 * 1024;
/// Faults after these are counted and not listed: one export of another format would fill the disk.
const MOST_FAULTS: usize = 1_000;

/// What an export holds, and everything that is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    /// Whose ledger it is, by its first entry.
    pub of: Option<(ServiceName, EnvironmentName)>,
    /// How many entries were read.
    pub entries: u64,
    /// Where it says that the ledger ended.
    pub head: Option<Head>,
    /// What is wrong, in the file's order, then what is wrong with the chain.
    pub faults: Vec<String>,
}

/// Checks an export: every line an entry in its own spelling, the chain whole, and the last line its head.
pub fn check(mut file: impl BufRead, mut tick: impl FnMut(u64)) -> Result<Checked, Failure> {
    let (mut checked, mut chain) = (Checked::default(), Check::default());
    let mut unlisted = 0_u64;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let limited = (&mut file).take(LONGEST_LINE).read_until(b'\n', &mut line);
        let read = limited.map_err(|error| {
            Failure::new(
                Exit::Unexpected,
                format!("The export cannot be read beyond line {number}."),
            )
            .because(error)
        })?;
        if read == 0 {
            break;
        }
        tick(read as u64);
        let fault = look(&line, &mut checked, &mut chain).err();
        match fault.map(|fault| format!("line {number}: {fault}")) {
            Some(fault) if checked.faults.len() < MOST_FAULTS => checked.faults.push(fault),
            Some(_) => unlisted += 1,
            None => {}
        }
    }
    Ok(conclude(checked, chain, unlisted))
}

fn look(line: &[u8], checked: &mut Checked, chain: &mut Check) -> Result<(), String> {
    if checked.head.is_some() {
        return Err("stands after the line with the head, which is the last one".into());
    }
    if line.len() as u64 >= LONGEST_LINE && line.last() != Some(&b'\n') {
        return Err(format!(
            "is longer than {LONGEST_LINE} bytes: it is not of a ledger"
        ));
    }
    let line = line.trim_ascii_end();
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| format!("is not JSON from column {} on", error.column()))?;
    if value.get("head").is_some() {
        let head: HeadLine =
            serde_json::from_value(value).map_err(|error| format!("is no head of a ledger: {error}"))?;
        checked.head = Some(head.head);
        return Ok(());
    }
    let entry: Entry =
        serde_json::from_slice(line).map_err(|error| format!("is not a ledger entry: {error}"))?;
    checked.entries += 1;
    checked
        .of
        .get_or_insert_with(|| (entry.service.clone(), entry.environment.clone()));
    chain.next(&entry);
    check_spelling(&entry, &value)
}

/// The hash is over what an entry says, as Sluice reads it. A field that Sluice does not read, or another spelling of
/// the same time, would pass it: so the line must say exactly what the entry says.
fn check_spelling(entry: &Entry, value: &Value) -> Result<(), String> {
    let right = serde_json::to_value(entry).map_err(|error| error.to_string())?;
    let differs = |(key, found): (&String, &Value)| (right.get(key) != Some(found)).then(|| key.clone());
    let fields: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(differs)
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    Err(format!(
        "entry {} was edited: `{}` is not as Sluice writes it",
        entry.seq,
        fields.join("`, `")
    ))
}

fn conclude(mut checked: Checked, chain: Check, unlisted: u64) -> Checked {
    if checked.head.is_none() {
        let end = "the last line, with the head, is missing: the export was cut off or is not one".to_owned();
        checked.faults.push(end);
    }
    let of_chain = chain.finish(checked.head.as_ref());
    let room = MOST_FAULTS.saturating_sub(checked.faults.len());
    let unlisted = unlisted + of_chain.len().saturating_sub(room) as u64;
    checked
        .faults
        .extend(of_chain.iter().take(room).map(ToString::to_string));
    if unlisted > 0 {
        checked.faults.push(format!("and {unlisted} more"));
    }
    checked
}
