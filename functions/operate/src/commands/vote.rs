//! `approve` and `reject`: a person's vote on the promotion that waits for it.

use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding, denied, not_authorised, refused};
use crate::place::{Place, person, service_at};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::approval::{Standing, VoteFault, names, standing, vote};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{PersonName, PromotionId, ReleaseNumber};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::{Action, ApprovalSpec, Caller, authorise};
use sluice_domain::promotion::{Promotion, PromotionState, Vote};
use sluice_domain::turn;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{load_pipeline, spec_of};

/// What a person says.
pub struct Ballot {
    /// Where.
    pub at: Place,
    /// The release that they looked at.
    pub release: ReleaseNumber,
    /// Yes or no.
    pub approve: bool,
    /// In their words.
    pub reason: Option<String>,
}

/// A vote that is recorded, now or before.
struct Cast {
    promotion: Promotion,
    person: PersonName,
    /// Where the approval stands with it.
    standing: Standing,
    /// Who has not said anything yet.
    left: Vec<PersonName>,
    /// Who is first in line now.
    first: Option<PromotionId>,
}

/// Records the vote, and wakes whoever waits for it. The same vote again is fine: it wakes again.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    ballot: &Ballot,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let at = &ballot.at;
    let cast = deciding(|| cast(door, caller_arn, ballot, now)).await?;
    let mine = cast.promotion.id;
    let said = wake_each(
        door,
        at,
        [mine]
            .into_iter()
            .chain(cast.first.filter(|first| *first != mine)),
    )
    .await;
    let next = match cast.standing {
        Standing::Rejected { .. } | Standing::Pending { .. } => at.status(),
        _ => at.follow(ballot.release),
    };
    Ok(done(
        format!("{}{said}", text(at, ballot, &cast)),
        Some(next),
        Some(cast.promotion.execution()),
    ))
}

async fn cast(door: &Door, caller_arn: &str, ballot: &Ballot, now: Timestamp) -> Result<Cast, OperateError> {
    let Ballot {
        at, release, approve, ..
    } = ballot;
    service_at(door, at).await?;
    let table = &door.backends.table;
    let mut environment = table.environment(&at.service, &at.environment).await?;
    let mut promotion = find(door, ballot, &environment).await?;
    // The version that the promotion works by says who approves: it is what people are asked by, and counted by.
    let pipeline = load_pipeline(table, &at.service, &promotion.pipeline).await?;
    let spec = spec_of(&pipeline, &at.environment)?;
    let caller = Caller::of(&pipeline, caller_arn, &door.account);
    let action = if *approve { Action::Approve } else { Action::Reject };
    authorise(&caller, action, Some(spec), &pipeline)
        .map_err(|why| not_authorised(&why, at.follow(*release)))?;
    let person = person(&caller)?;
    let asked = spec
        .approval
        .as_ref()
        .ok_or_else(|| Failure::internal("an approver without an approval"))?;
    if said_before(&promotion, &person, *approve) {
        return Ok(of(promotion, &environment, asked, person, now));
    }
    if let Err(refusal) = waits(at, &promotion, &environment) {
        // what waits for another answer, or for none, looks again
        wake_each(door, at, [promotion.id]).await;
        return Err(refusal);
    }
    let mine = Vote {
        person: person.clone(),
        arn: caller_arn.to_owned(),
        at: now,
        approve: *approve,
        reason: ballot.reason.clone(),
    };
    vote(&mut promotion, asked, mine).map_err(|fault| of_fault(at, *release, fault))?;
    let mut transaction = Transaction::new();
    let cast = of(promotion.clone(), &environment, asked, person, now);
    let record = match &cast.standing {
        Standing::Rejected { reason } => {
            let (end, event, by) = (PromotionState::Rejected, Event::Rejected, cast.person.as_str());
            turn::end(&mut promotion, &mut environment, end, event, by, reason, now)
        }
        _ => approved(&cast, ballot.reason.clone()),
    };
    transaction.record(&mut environment, record, now);
    transaction.update(&environment);
    transaction.update(&promotion);
    transaction.commit(table).await?;
    Ok(Cast {
        first: first(&environment),
        ..cast
    })
}

fn first(environment: &Environment) -> Option<PromotionId> {
    environment.queue.current.as_ref().map(|current| current.id)
}

fn of(
    promotion: Promotion,
    environment: &Environment,
    asked: &ApprovalSpec,
    person: PersonName,
    now: Timestamp,
) -> Cast {
    // once it is over or under way, what it was approved for is what it was asked for
    let asked_for = promotion
        .approval
        .as_ref()
        .map(|approval| approval.evidence.clone());
    let evidence = match promotion.state {
        PromotionState::AwaitingApproval => turn::evidence(&promotion, environment),
        _ => asked_for.unwrap_or_else(|| turn::evidence(&promotion, environment)),
    };
    let standing = standing(&promotion, Some(asked), &evidence, now);
    let votes = promotion
        .approval
        .as_ref()
        .map(|approval| approval.votes.as_slice())
        .unwrap_or_default();
    let silent = |person: &&PersonName| !votes.iter().any(|vote| vote.person == **person);
    let left = asked.approvers.iter().filter(silent).cloned().collect();
    Cast {
        left,
        standing,
        person,
        first: first(environment),
        promotion,
    }
}

/// The promotion of the release that is in the queue, else the latest try.
async fn find(door: &Door, ballot: &Ballot, environment: &Environment) -> Result<Promotion, OperateError> {
    let Ballot { at, release, .. } = ballot;
    let table = &door.backends.table;
    let queued = environment
        .queue
        .iter()
        .find(|queued| queued.id.release == *release);
    let found = match queued {
        Some(queued) => table.promotion(&at.service, &at.environment, queued.id).await?,
        None => {
            table
                .latest_attempt(&at.service, &at.environment, *release)
                .await?
        }
    };
    found.ok_or_else(|| {
        let message = format!(
            "{}{release} was not promoted into {}.{}",
            at.service,
            at.environment,
            instead(environment)
        );
        refused(message, at.status())
    })
}

/// Whether the person said the same before of this try, and it still means that: a yes that came to nothing says
/// nothing of another try.
fn said_before(promotion: &Promotion, person: &PersonName, approve: bool) -> bool {
    use PromotionState::{AwaitingApproval, Rejected, RollingOut, Verified, Wanted};
    let stands = match promotion.state {
        AwaitingApproval | Wanted | RollingOut | Verified => approve,
        Rejected => !approve,
        _ => false,
    };
    let votes = promotion
        .approval
        .as_ref()
        .map(|approval| approval.votes.as_slice())
        .unwrap_or_default();
    stands
        && votes
            .iter()
            .any(|vote| vote.person == *person && vote.approve == approve)
}

/// Whether the promotion waits for approval, and of what would be rolled out now.
fn waits(at: &Place, promotion: &Promotion, environment: &Environment) -> Result<(), OperateError> {
    let what = format!("{}{} in {}", at.service, promotion.id.release, at.environment);
    if promotion.state != PromotionState::AwaitingApproval {
        let reason = promotion
            .reason
            .as_deref()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        let others = if environment.queue.is_turn_of(promotion.id) {
            String::new()
        } else {
            instead(environment)
        };
        let message = format!(
            "{what} does not wait for approval: it is {}{reason}.{others}",
            promotion.state
        );
        return Err(refused(message, at.status()));
    }
    let asked_for = promotion.approval.as_ref().map(|approval| &approval.evidence);
    if asked_for != Some(&turn::evidence(promotion, environment)) {
        let message = format!(
            "What {what} would replace has changed since people were asked. They are asked again in a moment; look at it, \
             and answer then."
        );
        return Err(refused(message, at.status()));
    }
    Ok(())
}

/// Who is first in line, to be named where it is another one.
fn instead(environment: &Environment) -> String {
    first(environment)
        .map(|id| format!(" {} is first in line.", id.release))
        .unwrap_or_default()
}

fn of_fault(at: &Place, release: ReleaseNumber, fault: VoteFault) -> OperateError {
    match &fault {
        VoteFault::NotApprover(..) | VoteFault::FourEyes(_) => denied(fault),
        VoteFault::Expired(..) => refused(sentence(&fault), at.command_of("promote", release)),
        VoteFault::NotAsked(..) => refused(sentence(&fault), at.status()),
        VoteFault::AlreadyVoted(..) => refused(
            format!("{fault}, and a vote is not taken back."),
            at.command_of("abort", release),
        ),
    }
}

fn sentence(fault: &VoteFault) -> String {
    let text = fault.to_string();
    let mut rest = text.chars();
    let first: String = rest
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{}.", rest.as_str())
}

fn approved(cast: &Cast, reason: Option<String>) -> Record {
    Record {
        event: Event::Approved,
        by: cast.person.to_string(),
        release: Some(cast.promotion.id.release),
        digest: Some(cast.promotion.digest.clone()),
        execution: Some(cast.promotion.execution()),
        fence: None,
        reason,
    }
}

fn text(at: &Place, ballot: &Ballot, cast: &Cast) -> String {
    let what = format!("{}{}", at.service, ballot.release);
    let place = &at.environment;
    match &cast.standing {
        Standing::Rejected { .. } => format!("{what} is rejected in {place}: it does not go there."),
        Standing::Pending { missing, until } => {
            let left = names(&cast.left);
            format!(
                "{} approved {what} for {place}. {missing} more must approve until {until}: {left}.",
                cast.person
            )
        }
        _ => format!("{what} is approved for {place}: enough people said yes."),
    }
}

#[cfg(test)]
mod tests;
