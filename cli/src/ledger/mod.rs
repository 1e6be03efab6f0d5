//! `sluice ledger`: the record of what happened in an environment, checked and exported.

mod export;
mod lines;
mod pages;
mod verify;

use crate::args::{Global, Ledger};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use serde::{Deserialize, Serialize};
use sluice_domain::ledger::Head;

/// Runs one of its commands.
pub async fn run(global: &Global, output: &Output, command: &Ledger) -> Result<Exit, Failure> {
    match command {
        Ledger::Verify(args) => verify::run(global, output, args).await,
        Ledger::Export(args) => export::run(global, output, args).await,
    }
}

/// The last line of an export: where the ledger ended when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadLine {
    /// The last entry's number and hash.
    pub head: Head,
}
