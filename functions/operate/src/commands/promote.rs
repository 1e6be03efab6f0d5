//! `promote`: a release is wanted in an environment, by a person.

use super::{done, forward};
use crate::door::Door;
use crate::error::{OperateError, not_authorised, refused};
use crate::place::{Known, Place, in_care, known, no_environment, release, who};
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::approval::names;
use sluice_domain::environment::{Completed, Environment};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::pipeline::{Action, Caller, EnvironmentSpec, Pipeline, authorise};
use sluice_domain::promotion::Asker;
use sluice_domain::release::Release;
use sluice_domain::want::Word;
use sluice_transitions::{Wish, load_pipeline, rollback_budgets, verified, want_promotion};

/// What a person asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The release; none for the newest one that may go on.
    pub release: Option<ReleaseNumber>,
    /// All traffic now for the one that is being rolled out.
    pub full: bool,
    /// Why, and in spite of which alarms.
    pub word: Word,
}

/// Wants a release in an environment. A hold does not stop what a person asks for.
///
/// Who may is said by the *current* pipeline version: operators look after what runs, and somebody who is none any more
/// must not become one again by choosing an old release. What is done follows the version that the release keeps.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    asked: Asked,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let known = known(door, caller_arn, &at.service).await?;
    in_care(&known.meta)?;
    let spec = known.pipeline.environment(&at.environment);
    let spec = spec.ok_or_else(|| no_environment(at, &current_names(&known.pipeline)))?;
    authorise(&known.caller, Action::Promote, Some(spec), &known.pipeline)
        .map_err(|why| not_authorised(&why, at.status()))?;
    if let (true, Some(number)) = (asked.full, asked.release) {
        return forward::full(door, at, number, &who(&known.caller), asked.word, now).await;
    }
    let release = match asked.release {
        Some(number) => release(door, &at.service, number).await?,
        None => newest(door, at, &known).await?,
    };
    let pinned = load_pipeline(&door.backends.table, &at.service, &release.pipeline).await?;
    let environment = door
        .backends
        .table
        .environment(&at.service, &at.environment)
        .await?;
    let spec = pinned
        .environment(&at.environment)
        .ok_or_else(|| not_in_its_pipeline(at, &release))?;
    forward::known_alarms(at, spec, &asked.word.despite)?;
    if !asked.word.despite.is_empty() && environment.on_its_way(release.number).is_some() {
        return forward::despite(door, at, release.number, &who(&known.caller), asked.word, now).await;
    }
    if let Some(refusal) = stands_against(at, &release, &environment) {
        return Err(refusal);
    }
    came_this_far(door, at, &release, &pinned).await?;
    comes_back_in_time(door, at, spec, &environment, release.number).await?;
    // as the release's own version knows them, since its approval compares people (four eyes) by that version
    let person = Caller::of(&pinned, caller_arn, &door.account).person;
    let asker = Asker::Person {
        person,
        arn: caller_arn.to_owned(),
    };
    let wish = want_promotion(
        &door.backends,
        &release,
        &at.environment,
        &asker,
        &asked.word,
        now,
    )
    .await?;
    let next = at.follow(release.number);
    Ok(done(
        text(at, spec, &environment, &wish),
        Some(next),
        Some(wish.promotion.execution()),
    ))
}

fn current_names(pipeline: &Pipeline) -> Vec<sluice_domain::ids::EnvironmentName> {
    pipeline
        .environments
        .iter()
        .map(|spec| spec.name.clone())
        .collect()
}

/// The version that the release keeps does not know the environment.
pub fn not_in_its_pipeline(at: &Place, release: &Release) -> OperateError {
    let message = format!(
        "{}{} keeps the pipeline version that it started with ({}), which has no environment {}. \
         An image pushed now gets the current version.",
        at.service,
        release.number,
        release.pipeline.short(),
        at.environment
    );
    refused(message, format!("sluice history {}", at.service))
}

/// The newest release that may go on into the environment: by the time of its push, and not by its number.
pub async fn newest(door: &Door, at: &Place, known: &Known) -> Result<Release, OperateError> {
    let status = format!("sluice status {}", at.service);
    let Some(before) = known.pipeline.before(&at.environment) else {
        let newest = known.meta.newest.as_ref();
        let none = || {
            refused(
                format!("{} has no release yet: push an image.", at.service),
                status,
            )
        };
        return release(door, &at.service, newest.ok_or_else(none)?.number).await;
    };
    let earlier = door.backends.table.environment(&at.service, &before.name).await?;
    for number in by_push(&earlier.completed) {
        let release = release(door, &at.service, number).await?;
        if release.quarantine.is_none() {
            return Ok(release);
        }
    }
    let message = format!(
        "No release of {} that could go on is verified in {}.",
        at.service, before.name
    );
    Err(refused(message, status))
}

/// What completed and was not rolled back, pushed last first.
fn by_push(completed: &[Completed]) -> Vec<ReleaseNumber> {
    let mut there: Vec<_> = completed
        .iter()
        .filter(|one| one.rolled_back_at.is_none())
        .collect();
    there.sort_by_key(|one| std::cmp::Reverse((one.pushed_at, one.release)));
    let mut numbers: Vec<_> = there.into_iter().map(|one| one.release).collect();
    numbers.dedup();
    numbers
}

/// What the release and the environment say against it.
pub fn stands_against(at: &Place, release: &Release, environment: &Environment) -> Option<OperateError> {
    let (place, number) = (&at.environment, release.number);
    let name = format!("{}{number}", at.service);
    if let Some(quarantine) = &release.quarantine {
        let message = format!(
            "{name} was quarantined by {}: {}.",
            quarantine.by, quarantine.reason
        );
        return Some(refused(
            message,
            format!("sluice unquarantine {} {}", at.service, number.0),
        ));
    }
    let rolling = environment.under_way().and_then(|rollout| rollout.promotion());
    if let Some(id) = environment.on_its_way(number) {
        let what = if rolling == Some(id) {
            "is being rolled out in"
        } else {
            "is in the queue of"
        };
        // One that waits only because automatic promotion is held goes on when it is not.
        let (held, next) = match &environment.hold {
            Some(hold) if rolling != Some(id) => (
                format!(" Automatic promotion is held by {}: {}.", hold.by, hold.reason),
                at.command("unhold"),
            ),
            _ => (String::new(), at.follow(number)),
        };
        return Some(refused(format!("{name} {what} {place} already.{held}"), next));
    }
    let is_live = environment
        .live
        .as_ref()
        .is_some_and(|live| live.release == Some(number));
    if is_live && environment.lease.is_none() {
        return Some(refused(
            format!("{name} is live in {place} already."),
            at.status(),
        ));
    }
    None
}

/// Whether the release was verified in the environment before, by the version that it keeps.
async fn came_this_far(
    door: &Door,
    at: &Place,
    release: &Release,
    pinned: &Pipeline,
) -> Result<(), OperateError> {
    let Some(before) = pinned.before(&at.environment) else {
        return Ok(());
    };
    if verified(&door.backends, release, &before.name).await? {
        return Ok(());
    }
    let earlier = Place {
        service: at.service.clone(),
        environment: before.name.clone(),
    };
    let message = format!(
        "{}{} was not verified in {}, which comes before {}.",
        at.service, release.number, before.name, at.environment
    );
    Err(refused(message, earlier.command_of("promote", release.number)))
}

/// A release whose way back would take too long at worst is not brought in.
async fn comes_back_in_time(
    door: &Door,
    at: &Place,
    spec: &EnvironmentSpec,
    environment: &Environment,
    release: ReleaseNumber,
) -> Result<(), OperateError> {
    let budgets = rollback_budgets(&door.backends, spec, environment).await?;
    match budgets.and_then(|budgets| budgets.refusal(spec.rollback_within)) {
        None => Ok(()),
        Some(why) => {
            let message = format!(
                "{}{release} is not promoted into {}: {why}.",
                at.service, at.environment
            );
            Err(refused(message, at.command_of("plan", release)))
        }
    }
}

fn text(at: &Place, spec: &EnvironmentSpec, environment: &Environment, wish: &Wish) -> String {
    let id = wish.promotion.id;
    let mut text = format!("{}{} is wanted in {}.", at.service, id.release, at.environment);
    if let Some(lost) = wish.superseded {
        text.push_str(&format!(" It takes the place of {} in the queue.", lost.release));
    }
    let first = environment.queue.current.as_ref().map(|current| current.id);
    if let Some(first) = first.filter(|first| Some(*first) != wish.superseded) {
        text.push_str(&format!(" It waits behind {}.", first.release));
    }
    if let Some(approval) = &spec.approval {
        let (people, quorum) = (names(&approval.approvers), approval.quorum);
        text.push_str(&format!(
            " It needs {quorum} approval{} of {people}.",
            if quorum == 1 { "" } else { "s" }
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use crate::samples::{
        at, canary, completed, environment, id, live, person, place, promotion, release, under_way,
    };
    use sluice_domain::environment::{Phase, RolloutKind};
    use sluice_domain::pipeline::{ApprovalSpec, Seconds};
    use sluice_domain::promotion::PromotionState::Wanted;
    use sluice_domain::queue::Queued;
    use sluice_domain::release::Quarantine;

    fn queued(release: u32) -> Option<Queued> {
        Some(Queued {
            id: id(release, 1),
            pushed_at: at(0),
            automatic: true,
        })
    }

    #[test]
    fn newest_is_by_push_and_leaves_out_what_was_rolled_back() {
        let mut list = vec![
            completed(3, 30),
            completed(4, 25),
            completed(5, 50),
            completed(3, 30),
        ];
        if let Some(back) = list.iter_mut().find(|one| one.release == ReleaseNumber(5)) {
            back.rolled_back_at = Some(at(99));
        }
        assert_eq!(by_push(&list), [ReleaseNumber(3), ReleaseNumber(4)]);
    }

    #[test]
    fn what_stands_against_a_promotion_is_said_with_the_next_command() {
        let mut waiting = environment("production");
        waiting.live = Some(live(41));
        waiting.queue.current = queued(42);
        let rolling = under_way(
            waiting.clone(),
            RolloutKind::Promotion { id: id(42, 1) },
            42,
            Phase::Rolling,
        );
        let bad = Release {
            quarantine: Some(Quarantine {
                by: "ana".into(),
                at: at(0),
                reason: "CVE".into(),
            }),
            ..release(43)
        };
        let cases = [
            (bad, &waiting),
            (release(42), &waiting),
            (release(42), &rolling),
            (release(41), &waiting),
        ];
        let told = cases.map(|(release, environment)| {
            match stands_against(&place("production"), &release, environment) {
                Some(OperateError::Refusal(refusal)) => format!(
                    "{}\n  next: {}",
                    refusal.message,
                    refusal.next.unwrap_or_default()
                ),
                other => panic!("{other:?}"),
            }
        });
        insta::assert_snapshot!(told.join("\n"));
        assert!(stands_against(&place("production"), &release(40), &waiting).is_none());
        // what is live may be wanted again while another release is on its way over it
        assert!(stands_against(&place("production"), &release(41), &rolling).is_none());
    }

    #[test]
    fn a_hold_stands_against_nothing_that_a_person_asks_for() {
        let mut held = environment("production");
        held.hold = Some(sluice_domain::environment::Hold {
            by: "ben".into(),
            at: at(0),
            reason: "sale".into(),
            after_rollback: true,
        });
        assert!(stands_against(&place("production"), &release(42), &held).is_none());
    }

    #[test]
    fn what_is_said() {
        let mut spec = canary();
        let wish = |superseded| Wish {
            promotion: promotion("production", 43, 1, Wanted),
            superseded,
        };
        let mut waiting = environment("production");
        waiting.queue.current = queued(41);
        let mut told = vec![text(
            &place("production"),
            &spec,
            &environment("production"),
            &wish(None),
        )];
        spec.approval = Some(ApprovalSpec {
            approvers: vec![person("ana"), person("ben")],
            quorum: 1,
            four_eyes: true,
            expires: Seconds(60),
        });
        told.push(text(
            &place("production"),
            &spec,
            &waiting,
            &wish(Some(id(42, 1))),
        ));
        told.push(text(
            &place("production"),
            &spec,
            &waiting,
            &wish(Some(id(41, 1))),
        ));
        insta::assert_snapshot!(told.join("\n"));
    }
}
