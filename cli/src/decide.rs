//! The commands by which a person decides: each is one request, answered with a sentence.

use crate::args::{
    Abort, Answer as AnswerArgs, CheckAnswer, Command, Global, Hold, Place, Promote, Retry, Steer,
};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::follow::{self, Goal};
use crate::output::Output;
use crate::patience::waiting_for;
use crate::text::plain;
use crate::values::{Reason, release_of};
use owo_colors::OwoColorize;
use sluice_domain::api::{Answer, Request};
use sluice_domain::ids::{ExecutionName, ReleaseNumber};

/// `pause`, `resume`, `approve`, `reject`, `answer`, `retry`, `abort`, `hold`, `unhold`, `quarantine`, `unquarantine`.
pub async fn run(global: &Global, output: &Output, command: &Command) -> Result<(), Failure> {
    let request = request(command)?;
    let answer = ask(&Client::open(global).await?, output, &request).await?;
    done(output, &answer).map(|_| ())
}

/// `promote`, with `--follow` until the release is verified or cannot be any more.
pub async fn promote(global: &Global, output: &Output, args: &Promote) -> Result<(), Failure> {
    let asked = release_of(args.release.as_ref(), &args.place.service)?;
    let request = promotion(args, asked);
    let client = Client::open(global).await?;
    let answer = ask(&client, output, &request).await?;
    let execution = done(output, &answer)?;
    if !args.follow {
        return Ok(());
    }
    let Place { service, environment } = args.place.clone();
    let named = execution.and_then(|execution| release_in(&execution, &args.place));
    let Some(release) = asked.or(named) else {
        let message = "The promotion was accepted, but the answer does not say of which release: it cannot be followed.";
        let next = format!("sluice status {service} --environment {environment} --follow");
        return Err(Failure::new(Exit::Unexpected, message).next(next));
    };
    let goal = Goal::Release {
        service,
        environment,
        release,
    };
    follow::run(&client, output, goal, args.interval.0).await
}

/// Asks, with a sign of life.
pub async fn ask(client: &Client, output: &Output, request: &Request) -> Result<Answer, Failure> {
    waiting_for(output, "Sluice's answer", client.ask(request)).await
}

/// An answer to another question than the one asked.
pub fn mismatched() -> Failure {
    let message = "Sluice answered another question than the one asked: `sluice` and the deployed functions are of \
                   different versions.";
    Failure::new(Exit::Unexpected, message).next("sluice --version")
}

/// Shows what happened; which execution it was about.
pub fn done(output: &Output, answer: &Answer) -> Result<Option<ExecutionName>, Failure> {
    let Answer::Done {
        message,
        next,
        execution,
    } = answer
    else {
        return Err(mismatched());
    };
    output.answer(&done_text(message, next.as_deref()), answer)?;
    Ok(execution.clone())
}

/// What happened, and the next command.
pub fn done_text(message: &str, next: Option<&str>) -> String {
    match next {
        Some(next) => format!("{}\n{} {}", plain(message), "next:".cyan(), plain(next)),
        None => plain(message),
    }
}

/// The release in `{service}-{number}-{environment}-{attempt}`, where the execution is of that place.
fn release_in(execution: &ExecutionName, place: &Place) -> Option<ReleaseNumber> {
    let rest = execution
        .as_str()
        .strip_prefix(place.service.as_str())?
        .strip_prefix('-')?;
    let (number, rest) = rest.split_once('-')?;
    let (environment, _attempt) = rest.split_once('-')?;
    let number = number
        .parse()
        .ok()
        .filter(|_| environment == place.environment.as_str())?;
    Some(ReleaseNumber(number))
}

fn promotion(args: &Promote, release: Option<ReleaseNumber>) -> Request {
    let Place { service, environment } = args.place.clone();
    Request::Promote {
        service,
        environment,
        release,
        full: args.full,
        despite: args.despite.clone(),
        reason: words(args.reason.as_ref()),
    }
}

fn request(command: &Command) -> Result<Request, Failure> {
    match command {
        Command::Pause(args) => Ok(steer(args, true)),
        Command::Resume(args) => Ok(steer(args, false)),
        Command::Approve(args) => approval(args, true),
        Command::Reject(args) => approval(args, false),
        Command::Answer(args) => check_answer(args),
        Command::Retry(args) => retry(args),
        Command::Abort(args) => abort(args),
        Command::Hold(Hold {
            place: Place { service, environment },
            reason,
        }) => Ok(Request::Hold {
            service: service.clone(),
            environment: environment.clone(),
            reason: reason.0.clone(),
        }),
        Command::Unhold(Place { service, environment }) => Ok(Request::Unhold {
            service: service.clone(),
            environment: environment.clone(),
        }),
        Command::Quarantine(args) => Ok(Request::Quarantine {
            service: args.service.clone(),
            release: args.release.of(&args.service)?,
            reason: args.reason.0.clone(),
        }),
        Command::Unquarantine(args) => Ok(Request::Unquarantine {
            service: args.service.clone(),
            release: args.release.of(&args.service)?,
        }),
        _ => Err(Failure::new(
            Exit::Unexpected,
            "This command is not one of the decisions: a defect of `sluice`.",
        )),
    }
}

fn steer(args: &Steer, pause: bool) -> Request {
    let Place { service, environment } = args.place.clone();
    let reason = words(args.reason.as_ref());
    match pause {
        true => Request::Pause {
            service,
            environment,
            reason,
        },
        false => Request::Resume {
            service,
            environment,
            reason,
        },
    }
}

fn approval(args: &AnswerArgs, yes: bool) -> Result<Request, Failure> {
    let Place { service, environment } = args.place.clone();
    let release = args.release.of(&service)?;
    let reason = words(args.reason.as_ref());
    Ok(match yes {
        true => Request::Approve {
            service,
            environment,
            release,
            reason,
        },
        false => Request::Reject {
            service,
            environment,
            release,
            reason,
        },
    })
}

fn check_answer(args: &CheckAnswer) -> Result<Request, Failure> {
    let Place { service, environment } = args.place.clone();
    let release = release_of(args.release.as_ref(), &service)?;
    Ok(Request::Answer {
        service,
        environment,
        check: args.check.clone(),
        passed: args.passed,
        reason: words(args.reason.as_ref()),
        release,
    })
}

fn retry(args: &Retry) -> Result<Request, Failure> {
    let Place { service, environment } = args.place.clone();
    let release = release_of(args.release.as_ref(), &service)?;
    Ok(Request::Retry {
        service,
        environment,
        release,
        reason: words(args.reason.as_ref()),
    })
}

fn abort(args: &Abort) -> Result<Request, Failure> {
    let Place { service, environment } = args.place.clone();
    let release = release_of(args.release.as_ref(), &service)?;
    Ok(Request::Abort {
        service,
        environment,
        release,
        reason: words(args.reason.as_ref()),
    })
}

/// The reason's text.
pub fn words(reason: Option<&Reason>) -> Option<String> {
    reason.map(|reason| reason.0.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn requested(line: &str) -> Result<serde_json::Value, Exit> {
        let words = line.split(' ').map(|word| word.replace('_', " "));
        let cli = Cli::try_parse_from(std::iter::once("sluice".to_owned()).chain(words))
            .map_err(|_| Exit::Usage)?;
        let request = request(&cli.command).map_err(|failure| failure.exit)?;
        Ok(serde_json::to_value(request).unwrap())
    }

    #[test]
    fn each_command_is_one_request() {
        let lines = [
            "pause mc-api production",
            "pause mc-api production --reason the_p99_looks_odd",
            "resume mc-api production --reason fine",
            "approve mc-api production 42",
            "approve mc-api production mc-api#42 --reason looked_at_it",
            "reject mc-api production #42 --reason no",
            "answer mc-api production load --passed",
            "answer mc-api production load --failed --reason slow --release 42",
            "retry mc-api production",
            "retry mc-api production --release mc-api#42 --reason network",
            "abort mc-api dev",
            "abort mc-api dev 42",
            "hold mc-api production --reason sale",
            "unhold mc-api production",
            "quarantine mc-api 42 --reason CVE",
            "unquarantine mc-api 42",
        ];
        let text: Vec<String> = lines
            .iter()
            .map(|line| format!("{line}\n  {}", requested(line).unwrap()))
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn what_is_wrong_is_wrong_before_it_is_sent() {
        for line in [
            "promote mc-api production --full --reason x",
            "promote mc-api production 42 --full",
            "promote mc-api production 42 --despite a",
            "promote mc-api production 42 --full --despite a --reason x",
            "pause mc-api",
            "resume mc-api production --reason _",
            "approve mc-api production",
            "approve mc-api production mc-web#42",
            "approve mc-api pre-prod 42",
            "approve MC production 42",
            "answer mc-api production load",
            "answer mc-api production load --passed --failed",
            "answer mc-api production --passed",
            "retry mc-api production --release mc-web#42",
            "hold mc-api production",
            "hold mc-api production --reason _",
            "quarantine mc-api 0 --reason x",
        ] {
            assert_eq!(requested(line), Err(Exit::Usage), "{line}");
        }
    }

    #[test]
    fn the_release_is_read_from_an_executions_name() {
        let cli = Cli::try_parse_from(["sluice", "unhold", "mc-api-2", "dev"]).unwrap();
        let Command::Unhold(place) = cli.command else {
            panic!("unhold")
        };
        let read =
            |name: &str| release_in(&ExecutionName::parse(name).unwrap(), &place).map(|release| release.0);
        assert_eq!(read("mc-api-2-7-dev-1"), Some(7));
        assert_eq!(read("mc-api-2-7-staging-1"), None);
        assert_eq!(read("mc-api-2-dev-r7"), None);
        assert_eq!(read("other-7-dev-1"), None);
    }
}
