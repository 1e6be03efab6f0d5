//! `sluice rollback`: one call, answered when the cluster is written; `--follow` waits until it is read back.

use crate::args::{Global, Place, Rollback};
use crate::client::Client;
use crate::decide::{ask, done_text, mismatched, words};
use crate::failure::Failure;
use crate::follow::{self, Goal};
use crate::output::Output;
use crate::values::release_of;
use sluice_domain::api::{Answer, Request, RollbackAnswer};

/// Puts the last good release, or the one asked for, back.
pub async fn run(global: &Global, output: &Output, args: &Rollback) -> Result<(), Failure> {
    let Place { service, environment } = args.place.clone();
    let to = release_of(args.to.as_ref(), &service)?;
    let request = Request::Rollback {
        service,
        environment,
        to,
        reason: words(args.reason.as_ref()),
    };
    let client = Client::open(global).await?;
    let answer = ask(&client, output, &request).await?;
    let Answer::RolledBack(rollback) = &answer else {
        return Err(mismatched());
    };
    output.answer(&rollback_text(rollback, !args.follow), &answer)?;
    if !args.follow {
        return Ok(());
    }
    let goal = Goal::Rollback {
        service: rollback.service.clone(),
        environment: rollback.environment.clone(),
        execution: rollback.execution.clone(),
        to: rollback.to,
    };
    follow::run(&client, output, goal, args.interval.0).await
}

/// What happened, and how to watch the rest.
fn rollback_text(answer: &RollbackAnswer, say_how_to_follow: bool) -> String {
    let next = format!(
        "sluice status {} --environment {} --follow",
        answer.service, answer.environment
    );
    done_text(&answer.message, say_how_to_follow.then_some(next.as_str()))
}
