//! Who may do what. Every door asks here; IAM decided before whether the caller gets to a door at all.

use super::{CheckAction, CheckSpec, EnvironmentSpec, Pipeline};
use crate::ids::{EnvironmentName, PersonName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Publish a pipeline version. What it changes of an approval is decided by `may_apply`.
    Apply,
    /// Bring a release into an environment.
    Promote,
    /// Agree to a promotion.
    Approve,
    /// Refuse a promotion that waits for approval.
    Reject,
    /// End a promotion.
    Abort,
    /// Put a recorded release back.
    RollBack,
    /// Stop automatic promotion into an environment.
    Hold,
    /// Let it go on.
    Unhold,
    /// Say that a digest may be neither promoted nor rolled back to.
    Quarantine,
    /// Take that back.
    Unquarantine,
    /// Give the answer of a webhook's check that comes later; whom the check names instead, [`may_answer`] decides.
    Answer,
    /// Have a check that gave no answer run again.
    Retry,
    /// Keep a rollout where it is.
    Pause,
    /// Let it go on.
    Resume,
    /// Take the service out of Sluice's care.
    Remove,
    /// Look.
    Read,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 16] = [
        Action::Apply,
        Action::Promote,
        Action::Approve,
        Action::Reject,
        Action::Abort,
        Action::RollBack,
        Action::Hold,
        Action::Unhold,
        Action::Quarantine,
        Action::Unquarantine,
        Action::Answer,
        Action::Retry,
        Action::Pause,
        Action::Resume,
        Action::Remove,
        Action::Read,
    ];

    /// The command that does it.
    pub fn command(self) -> &'static str {
        match self {
            Action::Apply => "apply",
            Action::Promote => "promote",
            Action::Approve => "approve",
            Action::Reject => "reject",
            Action::Abort => "abort",
            Action::RollBack => "rollback",
            Action::Hold => "hold",
            Action::Unhold => "unhold",
            Action::Quarantine => "quarantine",
            Action::Unquarantine => "unquarantine",
            Action::Answer => "answer",
            Action::Retry => "retry",
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Remove => "remove",
            Action::Read => "status",
        }
    }

    fn needs(self) -> Needs {
        match self {
            Action::Apply | Action::Read => Needs::Nothing,
            Action::Approve | Action::Reject => Needs::Approver,
            Action::Promote
            | Action::Abort
            | Action::RollBack
            | Action::Hold
            | Action::Unhold
            | Action::Answer
            | Action::Retry
            | Action::Pause
            | Action::Resume => Needs::Operator,
            Action::Quarantine | Action::Unquarantine | Action::Remove => Needs::OperatorEverywhere,
        }
    }
}

enum Needs {
    Nothing,
    Approver,
    /// Of the environment; where none is named, of all.
    Operator,
    /// A quarantine closes, and its end opens, every environment at once, rollbacks included. An operator of dev
    /// must not be able to take production's rollback target away, nor to let through what production's operators shut out.
    /// A removal ends every environment's deliveries.
    OperatorEverywhere,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::RollBack => "roll back",
            Action::Read => "read",
            other => other.command(),
        })
    }
}

/// Who is at the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The ARN, as IAM gave it.
    pub arn: String,
    /// The person of the pipeline that this is, if one is.
    pub person: Option<PersonName>,
}

impl Caller {
    /// The caller as the pipeline knows them. `own_account` is the account that Sluice runs in.
    pub fn of(pipeline: &Pipeline, arn: &str, own_account: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            person: pipeline.person_of(arn, own_account).cloned(),
        }
    }

    fn is_one_of(&self, people: &[PersonName]) -> bool {
        self.person.as_ref().is_some_and(|person| people.contains(person))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.person {
            Some(person) => write!(f, "{person} ({})", self.arn),
            None => write!(f, "{} (nobody in the pipeline's [people])", self.arn),
        }
    }
}

/// Why a caller may not, and who may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// What was wanted.
    pub action: Action,
    /// By whom.
    pub caller: Caller,
    /// The environment whose rule says no; none where there is nothing to ask for.
    pub environment: Option<EnvironmentName>,
    /// Which rule.
    pub reason: DeniedReason,
    /// Who may.
    pub may: BTreeSet<PersonName>,
}

/// Which rule says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeniedReason {
    /// The environment lists operators, and the caller is none.
    NotOperator,
    /// The environment lists approvers, and the caller is none.
    NotApprover,
    /// The check lists who answers it, and the caller is not among them.
    NotAnswering,
    /// The environment asks for no approval.
    NoApproval,
    /// An approval is of one environment, and none was named.
    NoEnvironment,
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, caller, .. } = self;
        let place = self
            .environment
            .as_ref()
            .map_or_else(|| "this service".to_owned(), ToString::to_string);
        let people: Vec<&str> = self.may.iter().map(PersonName::as_str).collect();
        let people = people.join(", ");
        match self.reason {
            DeniedReason::NotOperator => {
                write!(
                    f,
                    "{caller} may not {action}: operators of {place} are {people}. Ask one of them to do it"
                )
            }
            DeniedReason::NotApprover => {
                write!(
                    f,
                    "{caller} may not {action}: approvers of {place} are {people}. Ask one of them to do it"
                )
            }
            DeniedReason::NotAnswering => {
                write!(
                    f,
                    "{caller} may not {action}: this check of {place} is answered by {people}. Ask one of them to do it"
                )
            }
            DeniedReason::NoApproval => {
                write!(f, "{place} asks for no approval: there is nothing to {action}")
            }
            DeniedReason::NoEnvironment => {
                write!(f, "to {action} is to decide about one environment: name it")
            }
        }
    }
}

/// Whether the caller may. The caller must be known by the same pipeline version (`Caller::of`).
///
/// Without an environment, an operator's action is meant for all of them.
pub fn authorise(
    caller: &Caller,
    action: Action,
    environment: Option<&EnvironmentSpec>,
    pipeline: &Pipeline,
) -> Result<(), Denied> {
    let each = |spec: &EnvironmentSpec| operator_of(spec, caller, action);
    match (action.needs(), environment) {
        (Needs::Nothing, _) => Ok(()),
        (Needs::Approver, environment) => approver_of(environment, caller, action),
        (Needs::Operator, Some(environment)) => each(environment),
        (Needs::Operator, None) | (Needs::OperatorEverywhere, _) => {
            pipeline.environments.iter().try_for_each(each)
        }
    }
}

/// Whether the caller may answer a check: one of its `answered_by`, or an operator where it names nobody. The check is the
/// one of the pipeline version that the rollout works by, and the caller must be known by that one.
pub fn may_answer(
    caller: &Caller,
    check: &CheckSpec,
    environment: &EnvironmentSpec,
    pipeline: &Pipeline,
) -> Result<(), Denied> {
    match &check.run {
        CheckAction::Webhook { answered_by, .. } if !answered_by.is_empty() => {
            if caller.is_one_of(answered_by) {
                return Ok(());
            }
            let (spec, reason) = (Some(environment), DeniedReason::NotAnswering);
            Err(denied(caller, Action::Answer, spec, reason, answered_by))
        }
        _ => authorise(caller, Action::Answer, Some(environment), pipeline),
    }
}

fn operator_of(spec: &EnvironmentSpec, caller: &Caller, action: Action) -> Result<(), Denied> {
    match &spec.operators {
        Some(operators) if !caller.is_one_of(operators) => Err(denied(
            caller,
            action,
            Some(spec),
            DeniedReason::NotOperator,
            operators,
        )),
        _ => Ok(()),
    }
}

fn approver_of(environment: Option<&EnvironmentSpec>, caller: &Caller, action: Action) -> Result<(), Denied> {
    let Some(spec) = environment else {
        return Err(denied(caller, action, None, DeniedReason::NoEnvironment, &[]));
    };
    match &spec.approval {
        None => Err(denied(caller, action, Some(spec), DeniedReason::NoApproval, &[])),
        Some(approval) if caller.is_one_of(&approval.approvers) => Ok(()),
        Some(approval) => Err(denied(
            caller,
            action,
            Some(spec),
            DeniedReason::NotApprover,
            &approval.approvers,
        )),
    }
}

fn denied(
    caller: &Caller,
    action: Action,
    spec: Option<&EnvironmentSpec>,
    reason: DeniedReason,
    may: &[PersonName],
) -> Denied {
    let environment = spec.map(|spec| spec.name.clone());
    Denied {
        action,
        caller: caller.clone(),
        environment,
        reason,
        may: may.iter().cloned().collect(),
    }
}
