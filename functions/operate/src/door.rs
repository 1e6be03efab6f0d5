//! The door: each command goes to the module that carries it out.

use crate::commands::{
    abort, answer, apply, history, hold, ledger, plan, promote, quarantine, remove, retry, rollback, status,
    steering, vote,
};
use crate::error::OperateError;
use crate::limits;
use crate::making_plans::PlanMaker;
use crate::place::Place;
use jiff::Timestamp;
use sluice_alarms::Alarms;
use sluice_domain::api::{Answer, Request};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::want::Word;
use sluice_rollback_call::RollBack;
use sluice_transitions::Backends;

/// What commands reach.
#[derive(Debug, Clone)]
pub struct Door {
    /// Table, state machines, images.
    pub backends: Backends,
    /// The function that puts releases back.
    pub roll_back: RollBack,
    /// The function that makes plans.
    pub plans: PlanMaker,
    /// CloudWatch, in Sluice's own account.
    pub alarms: Alarms,
    /// The account that Sluice runs in, 12 digits: it completes principals that are written without one.
    pub account: String,
}

/// Carries a command out for the caller with this ARN.
///
/// Reading needs no more than what IAM decided before the request came here; every other command asks the domain.
pub async fn handle(
    door: &Door,
    caller_arn: &str,
    request: Request,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    limits::check(&request)?;
    let at = |service, environment| Place { service, environment };
    match request {
        Request::Apply {
            file,
            text,
            manifests,
            charts,
        } => {
            apply::run(
                door,
                caller_arn,
                &apply::Files {
                    file,
                    text,
                    manifests,
                    charts,
                },
                now,
            )
            .await
        }
        Request::Status { service } => status::run(door, service.as_ref()).await,
        Request::Plan {
            service,
            environment,
            release,
        } => plan::run(door, caller_arn, &at(service, environment), release).await,
        Request::History {
            service,
            environment,
            limit,
            before,
        } => history::run(door, &service, environment.as_ref(), limit, before).await,
        Request::Promote {
            service,
            environment,
            release,
            full,
            despite,
            reason,
        } => {
            let wish = promote::Asked {
                release,
                full,
                word: Word { reason, despite },
            };
            promote::run(door, caller_arn, &at(service, environment), wish, now).await
        }
        Request::Pause {
            service,
            environment,
            reason,
        } => steering::pause(door, caller_arn, &at(service, environment), reason, now).await,
        Request::Resume {
            service,
            environment,
            reason,
        } => steering::resume(door, caller_arn, &at(service, environment), reason, now).await,
        Request::Approve {
            service,
            environment,
            release,
            reason,
        } => {
            ballot(
                door,
                caller_arn,
                at(service, environment),
                release,
                true,
                reason,
                now,
            )
            .await
        }
        Request::Reject {
            service,
            environment,
            release,
            reason,
        } => {
            ballot(
                door,
                caller_arn,
                at(service, environment),
                release,
                false,
                reason,
                now,
            )
            .await
        }
        Request::Abort {
            service,
            environment,
            release,
            reason,
        } => abort::run(door, caller_arn, &at(service, environment), release, reason, now).await,
        Request::Rollback {
            service,
            environment,
            to,
            reason,
        } => rollback::run(door, caller_arn, &at(service, environment), to, reason, now).await,
        Request::Hold {
            service,
            environment,
            reason,
        } => hold::hold(door, caller_arn, &at(service, environment), &reason, now).await,
        Request::Unhold { service, environment } => {
            hold::unhold(door, caller_arn, &at(service, environment), now).await
        }
        Request::Quarantine {
            service,
            release,
            reason,
        } => quarantine::quarantine(door, caller_arn, &service, release, &reason, now).await,
        Request::Unquarantine { service, release } => {
            quarantine::unquarantine(door, caller_arn, &service, release, now).await
        }
        Request::Answer {
            service,
            environment,
            check,
            passed,
            reason,
            release,
        } => {
            let word = answer::Word {
                at: at(service, environment),
                check,
                passed,
                reason,
                release,
            };
            answer::run(door, caller_arn, &word, now).await
        }
        Request::Retry {
            service,
            environment,
            release,
            reason,
        } => retry::run(door, caller_arn, &at(service, environment), release, reason, now).await,
        Request::Remove { service } => remove::run(door, caller_arn, &service, now).await,
        Request::Ledger {
            service,
            environment,
            after,
            limit,
        } => ledger::run(door, &at(service, environment), after, limit).await,
    }
}

async fn ballot(
    door: &Door,
    caller_arn: &str,
    at: Place,
    release: ReleaseNumber,
    approve: bool,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let ballot = vote::Ballot {
        at,
        release,
        approve,
        reason,
    };
    vote::run(door, caller_arn, &ballot, now).await
}

/// Whether a command changes nothing.
pub fn reads(request: &Request) -> bool {
    matches!(
        request,
        Request::Status { .. } | Request::History { .. } | Request::Plan { .. } | Request::Ledger { .. }
    )
}
