//! The command line of what moves a release.

use super::Place;
use crate::values::{Reason, ReleaseArg, Wait};
use clap::Args;

/// `sluice promote`
#[derive(Debug, Args)]
pub struct Promote {
    /// Where to.
    #[command(flatten)]
    pub place: Place,
    /// The release; by itself the newest one verified in the environment before
    pub release: Option<ReleaseArg>,
    /// Give it all traffic now: leave out its further steps
    #[arg(long, requires_all = ["release", "reason"], conflicts_with = "despite")]
    pub full: bool,
    /// Go forward in spite of this alarm while it stays so
    #[arg(long, value_name = "ALARM", requires = "reason")]
    pub despite: Vec<String>,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
    /// Show progress until it is verified or failed
    #[arg(long, short)]
    pub follow: bool,
    /// How often to look: 1s, 500ms
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "follow")]
    pub interval: Wait,
}

/// `sluice pause`, `sluice resume`
#[derive(Debug, Args)]
pub struct Steer {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
}
