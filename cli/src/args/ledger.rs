//! The command line of `sluice ledger`.

use super::Place;
use clap::{Args, Subcommand};
use sluice_domain::ids::{EnvironmentName, ServiceName};
use std::path::PathBuf;

/// `sluice ledger`
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Check that no entry was edited, removed or reordered
    #[command(after_help = "Examples:\n  sluice ledger verify mc-api production\n  \
        sluice ledger verify --file production.jsonl\n  \
        sluice ledger verify mc-api production --file production.jsonl\n\n\
        With --file alone the export is checked offline, against its own last line. With both,\n\
        also against the entry that stands in Sluice's table now.")]
    Verify(LedgerVerify),
    /// Write every entry as a line of JSON, and where the ledger ends as the last line
    #[command(
        after_help = "Examples:\n  sluice ledger export mc-api production > production.jsonl\n  \
        sluice ledger export mc-api production --file production.jsonl"
    )]
    Export(LedgerExport),
}

/// `sluice ledger verify`
#[derive(Debug, Args)]
pub struct LedgerVerify {
    /// The service
    #[arg(requires = "environment", required_unless_present = "file", value_parser = ServiceName::parse)]
    pub service: Option<ServiceName>,
    /// The environment
    #[arg(value_parser = EnvironmentName::parse)]
    pub environment: Option<EnvironmentName>,
    /// An export to check
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `sluice ledger export`
#[derive(Debug, Args)]
pub struct LedgerExport {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Where to write; by itself standard output
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}
