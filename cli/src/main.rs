//! `sluice`: what an operator types. It talks to the function `operate` and decides nothing itself.

mod apply;
mod args;
mod chart_folder;
mod checks;
mod client;
mod decide;
mod endpoint;
mod failure;
mod follow;
mod history;
mod ledger;
mod output;
mod patience;
mod pipeline_file;
mod plan;
mod remove;
mod reply;
mod rollback;
#[cfg(test)]
mod samples;
mod status;
mod text;
mod traffic;
mod under_way;
mod validate;
mod values;

use args::{Cli, Command, Global};
use clap::Parser;
use clap::error::ErrorKind;
use failure::{Exit, Failure};
use output::{Color, Format, Output};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error).into(),
    };
    let output = Output::new(cli.global.output, cli.global.color);
    match run(&cli.global, &output, &cli.command).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // A reader that went away, and Ctrl-C, are a person's wish: there is nothing to complain of.
            if !matches!(failure.exit, Exit::Ok | Exit::Interrupted) {
                output.fail(&failure);
            }
            failure.exit.into()
        }
    }
}

async fn run(global: &Global, output: &Output, command: &Command) -> Result<Exit, Failure> {
    let done = match command {
        Command::Validate(args) => return validate::run(output, args),
        Command::Apply(args) => apply::run(global, output, args).await,
        Command::Status(args) => status::run(global, output, args).await,
        Command::History(args) => history::run(global, output, args).await,
        Command::Plan(args) => plan::run(global, output, args).await,
        Command::Remove(args) => remove::run(global, output, args).await,
        Command::Promote(args) => decide::promote(global, output, args).await,
        Command::Rollback(args) => rollback::run(global, output, args).await,
        Command::Ledger(args) => return ledger::run(global, output, args).await,
        other => decide::run(global, output, other).await,
    };
    done.map(|()| Exit::Ok)
}

/// `--help` and `--version` are answers; anything else is a mistake, also for programs that asked for JSON.
fn misused(error: &clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return if error.print().is_ok() {
            Exit::Ok
        } else {
            Exit::Unexpected
        };
    }
    if wants_json(std::env::args().skip(1)) {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ");
        Output::new(Format::Json, Color::Never)
            .fail(&Failure::new(Exit::Usage, message).next("sluice --help"));
    } else {
        // Standard error may be closed; the exit code still tells.
        let _ = error.print();
    }
    Exit::Usage
}

/// The command line could not be read, so its words are looked at one by one.
fn wants_json(args: impl Iterator<Item = String>) -> bool {
    let args: Vec<String> = args.take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--output=json")
        || args
            .windows(2)
            .any(|pair| matches!(pair, [name, value] if name == "--output" && value == "json"))
}
