//! The commands, one module for each group.

pub mod abort;
pub mod answer;
pub mod apply;
mod checks;
pub mod forward;
pub mod history;
pub mod hold;
pub mod ledger;
pub mod plan;
pub mod promote;
pub mod quarantine;
pub mod remove;
pub mod retry;
pub mod rollback;
pub mod status;
pub mod steering;
pub mod vote;

use sluice_domain::api::Answer;
use sluice_domain::ids::ExecutionName;

/// The answer of a command that did what it was asked.
fn done(message: String, next: Option<String>, execution: Option<ExecutionName>) -> Answer {
    Answer::Done {
        message,
        next,
        execution,
    }
}
