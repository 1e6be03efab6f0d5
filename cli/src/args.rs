//! The command line. What each command does stands in its own module; the words of `--help` stand here.

mod ledger;
mod rollout;

pub use ledger::{Ledger, LedgerExport, LedgerVerify};
pub use rollout::{Promote, Steer};

use crate::output::{Color, Format};
use crate::values::{Reason, ReleaseArg, Wait};
use clap::{Args, Parser, Subcommand};
use sluice_domain::ids::{EnvironmentName, ServiceName};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  unexpected: a defect, or an answer that cannot be understood
  2  the command line, or a setting such as SLUICE_URL, is wrong
  3  the pipeline file or the request is invalid
  4  denied: the caller may not, or has no AWS credentials
  5  refused: it cannot be done as things stand
  6  not found: no such service, environment or release
  7  unavailable: something is out of reach; try again
  8  a ledger, or an export of one, is not whole
  9  what was followed did not succeed
  130  ended by Ctrl-C

A release is written 42, #42 or mc-api#42. Quote the two with # in a shell.";

/// Brings container images through a service's environments on EKS, and back.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// Settings of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Settings of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The Function URL of `operate`; the stack's output OperateUrl
    #[arg(
        long,
        global = true,
        env = "SLUICE_URL",
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub url: Option<String>,
    /// The region to sign for; by itself the one in the URL, else the AWS configuration's
    #[arg(long, global = true, value_name = "REGION", help_heading = "Connection")]
    pub region: Option<String>,
    /// The AWS profile to act as; by itself AWS_PROFILE
    #[arg(long, global = true, value_name = "NAME", help_heading = "Connection")]
    pub profile: Option<String>,
    /// How long one answer may take: 30s, 2m; by itself 60s, and 100s for plan
    #[arg(long, global = true, value_name = "TIME", help_heading = "Connection")]
    pub timeout: Option<Wait>,
    /// text for people, json for programs; an error is then one JSON object on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: Format,
    /// When to use colour; NO_COLOR is honoured by auto
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub color: Color,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check pipeline files, offline
    #[command(after_help = "Examples:\n  sluice validate\n  sluice validate pipelines/mc-api.toml")]
    Validate(Validate),
    /// Publish a pipeline file
    #[command(after_help = "Example:\n  sluice apply pipelines/mc-api.toml")]
    Apply(Apply),
    /// Show what runs where, and what is under way
    #[command(
        after_help = "Examples:\n  sluice status\n  sluice status mc-api --follow\n  \
        sluice status mc-api --environment production --release 42 --follow\n\n\
        --follow ends when nothing is under way and nothing waits: with 0 when the last\n\
        thing followed in each environment succeeded, else with 9. With --release it ends\n\
        when that release is verified in that environment (0), or cannot be any more (9)."
    )]
    Status(Status),
    /// Show releases and where they went, newest first
    #[command(
        after_help = "Examples:\n  sluice history mc-api\n  sluice history mc-api --environment production --limit 5"
    )]
    History(History),
    /// Show what promoting a release would change; nothing is written
    #[command(
        after_help = "Examples:\n  sluice plan mc-api production\n  sluice plan mc-api production 42 --output json\n\n\
        Marks: + is made, ~ is changed, - is deleted. The content of a Secret is never shown."
    )]
    Plan(Plan),
    /// Bring a release into an environment
    #[command(
        after_help = "Examples:\n  sluice promote mc-api production\n  sluice promote mc-api production 42 --follow\n  \
        sluice promote mc-api production 42 --full --reason 'the fix, seen at 25 %'\n  \
        sluice promote mc-api production 43 --despite mc-api-5xx --reason 'this mends it'"
    )]
    Promote(Promote),
    /// Keep a rollout at its weight until it is resumed
    #[command(after_help = "Example:\n  sluice pause mc-api production --reason 'the p99 looks odd'")]
    Pause(Steer),
    /// Let a paused rollout go on
    #[command(after_help = "Example:\n  sluice resume mc-api production")]
    Resume(Steer),
    /// Say yes to the promotion that awaits approval
    #[command(after_help = "Example:\n  sluice approve mc-api production 42 --reason 'looked at staging'")]
    Approve(Answer),
    /// Say no to the promotion that awaits approval
    #[command(after_help = "Example:\n  sluice reject mc-api production 42 --reason 'not on a Friday'")]
    Reject(Answer),
    /// Give the answer that a webhook's check waits for
    #[command(
        after_help = "Examples:\n  sluice answer mc-api production load-test --passed\n  \
        sluice answer mc-api production load-test --failed --reason 'p99 over 300 ms'"
    )]
    Answer(CheckAnswer),
    /// Run the check again, or read the alarms again, that gave no answer
    #[command(after_help = "Example:\n  sluice retry mc-api production")]
    Retry(Retry),
    /// Stop a promotion; what it wrote is taken back
    #[command(after_help = "Example:\n  sluice abort mc-api production 42")]
    Abort(Abort),
    /// Put the last good release back, at once
    #[command(after_help = "Examples:\n  sluice rollback mc-api production\n  \
        sluice rollback mc-api production --to 41 --reason 'errors at checkout' --follow")]
    Rollback(Rollback),
    /// Stop automatic promotion into an environment
    #[command(after_help = "Example:\n  sluice hold mc-api production --reason 'sale until Monday'")]
    Hold(Hold),
    /// Let automatic promotion into an environment go on
    #[command(after_help = "Example:\n  sluice unhold mc-api production")]
    Unhold(Place),
    /// Forbid a release: it is neither promoted nor rolled back to
    #[command(after_help = "Example:\n  sluice quarantine mc-api 42 --reason 'CVE-2026-1234'")]
    Quarantine(Quarantine),
    /// Allow a release again
    #[command(after_help = "Example:\n  sluice unquarantine mc-api 42")]
    Unquarantine(Unquarantine),
    /// Take a service out of Sluice's care; its history and what runs stay
    #[command(after_help = "Example:\n  sluice remove mc-api\n\n\
        No push is delivered any more; `sluice apply` takes the service back. What is under way must be over.")]
    Remove(Remove),
    /// Check or export the record of what happened in an environment
    #[command(subcommand)]
    Ledger(Ledger),
}

/// `sluice validate`
#[derive(Debug, Args)]
pub struct Validate {
    /// Pipeline files; by itself pipelines/*.toml under the root
    pub files: Vec<PathBuf>,
    /// The repository's root, which manifests are relative to
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub root: PathBuf,
}

/// `sluice apply`
#[derive(Debug, Args)]
pub struct Apply {
    /// The pipeline file
    pub file: PathBuf,
    /// The repository's root, which manifests are relative to
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub root: PathBuf,
}

/// `sluice status`
#[derive(Debug, Args)]
pub struct Status {
    /// One service; by itself all of them
    #[arg(value_parser = ServiceName::parse)]
    pub service: Option<ServiceName>,
    /// Only this environment
    #[arg(long, short, value_name = "NAME", value_parser = EnvironmentName::parse)]
    pub environment: Option<EnvironmentName>,
    /// Show progress until nothing is under way
    #[arg(long, short)]
    pub follow: bool,
    /// Follow one release until it is verified in the environment, or failed
    #[arg(long, short, value_name = "RELEASE", requires_all = ["follow", "environment", "service"])]
    pub release: Option<ReleaseArg>,
    /// How often to look: 1s, 500ms
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "follow")]
    pub interval: Wait,
}

/// `sluice history`
#[derive(Debug, Args)]
pub struct History {
    /// The service
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// Only promotions into this environment
    #[arg(long, short, value_name = "NAME", value_parser = EnvironmentName::parse)]
    pub environment: Option<EnvironmentName>,
    /// How many releases, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    /// Only releases before this one
    #[arg(long, value_name = "RELEASE")]
    pub before: Option<ReleaseArg>,
}

/// A service and one of its environments.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The service
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// The environment
    #[arg(value_parser = EnvironmentName::parse)]
    pub environment: EnvironmentName,
}

/// `sluice plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Where to.
    #[command(flatten)]
    pub place: Place,
    /// The release; by itself the newest one verified in the environment before, else the newest
    pub release: Option<ReleaseArg>,
}

/// `sluice answer`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("answer").required(true))]
pub struct CheckAnswer {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The check's name
    pub check: String,
    /// It passed
    #[arg(long, group = "answer")]
    pub passed: bool,
    /// It failed
    #[arg(long, group = "answer")]
    pub failed: bool,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
    /// Only of this release; by itself of whatever is under way
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<ReleaseArg>,
}

/// `sluice retry`
#[derive(Debug, Args)]
pub struct Retry {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Only of this release; by itself of whatever is under way
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<ReleaseArg>,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
}

/// `sluice remove`
#[derive(Debug, Args)]
pub struct Remove {
    /// The service
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// `sluice approve`, `sluice reject`
#[derive(Debug, Args)]
pub struct Answer {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The release that you looked at
    pub release: ReleaseArg,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
}

/// `sluice abort`
#[derive(Debug, Args)]
pub struct Abort {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The release; by itself whatever is under way
    pub release: Option<ReleaseArg>,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
}

/// `sluice rollback`
#[derive(Debug, Args)]
pub struct Rollback {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// A release that completed there; by itself the last good one
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<ReleaseArg>,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
    /// Show progress until it is verified in the cluster
    #[arg(long, short)]
    pub follow: bool,
    /// How often to look: 1s, 500ms
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "follow")]
    pub interval: Wait,
}

/// `sluice hold`
#[derive(Debug, Args)]
pub struct Hold {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT")]
    pub reason: Reason,
}

/// `sluice quarantine`
#[derive(Debug, Args)]
pub struct Quarantine {
    /// The service
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// The release
    pub release: ReleaseArg,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT")]
    pub reason: Reason,
}

/// `sluice unquarantine`
#[derive(Debug, Args)]
pub struct Unquarantine {
    /// The service
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// The release
    pub release: ReleaseArg,
}
