//! `status`: what runs where, and what is under way. One question for each service, and one for each promotion that
//! waits; none of them costs more as history grows.

use super::checks::{checks, with_log};
use crate::door::Door;
use crate::error::{OperateError, not_found};
use futures::stream::{self, StreamExt, TryStreamExt};
use sluice_domain::api::{
    self, Activity, Answer, CheckStatus, EnvironmentStatus, LiveStatus, ServiceStatus, WaitingStatus,
};
use sluice_domain::environment::{Environment, Rollout, RolloutKind};
use sluice_domain::ids::{EnvironmentName, Hash, PersonName, PromotionId, ServiceName};
use sluice_domain::pipeline::{ApprovalSpec, EnvironmentSpec, Pipeline};
use sluice_domain::promotion::{Promotion, PromotionState};
use sluice_table::Overview;
use sluice_transitions::load_pipeline;
use std::collections::BTreeMap;

/// How many services are looked at at once.
const AT_ONCE: usize = 16;
/// How many names of services are read at once.
const PAGE: usize = 500;

/// One service, or all of them.
pub async fn run(door: &Door, only: Option<&ServiceName>) -> Result<Answer, OperateError> {
    let services = match only {
        Some(service) => vec![
            of_service(door, service)
                .await?
                .ok_or_else(|| not_found(format!("There is no service {service}."), "sluice status"))?,
        ],
        None => of_all(door).await?,
    };
    Ok(Answer::Status { services })
}

async fn of_all(door: &Door) -> Result<Vec<ServiceStatus>, OperateError> {
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = door.backends.table.services(after.as_ref(), PAGE).await?;
        names.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let looks = stream::iter(names).map(|name| async move { of_service(door, &name).await });
    let found: Vec<Option<ServiceStatus>> = looks.buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn of_service(door: &Door, service: &ServiceName) -> Result<Option<ServiceStatus>, OperateError> {
    let Some(Overview { meta, environments }) = door.backends.table.overview(service).await? else {
        return Ok(None);
    };
    let mut states: BTreeMap<EnvironmentName, Environment> = environments
        .into_iter()
        .map(|environment| (environment.name.clone(), environment))
        .collect();
    let mut pipelines = Pipelines::default();
    let mut shown = Vec::with_capacity(meta.environments.len());
    for name in &meta.environments {
        let state = states
            .remove(name)
            .unwrap_or_else(|| Environment::new(service.clone(), name.clone()));
        let mut waiting = Vec::new();
        for id in in_the_queue(&state) {
            waiting.extend(look_at(door, &mut pipelines, &state, id).await?);
        }
        let mut checks = checks(&state);
        with_log(&door.backends.table, &state, &mut checks).await?;
        let spec = pipelines.of_rollout(door, &state).await?;
        shown.push(of_environment(state, spec, waiting, checks));
    }
    Ok(Some(ServiceStatus {
        service: meta.service,
        repository: meta.repository.to_string(),
        pipeline: meta.pipeline,
        newest: meta.newest.map(|newest| newest.number),
        environments: shown,
        removed: meta.removed,
    }))
}

/// Who waits. The one that is being rolled out is the activity.
fn in_the_queue(state: &Environment) -> Vec<PromotionId> {
    let rolling = state.under_way().and_then(Rollout::promotion);
    state
        .queue
        .iter()
        .map(|queued| queued.id)
        .filter(|id| Some(*id) != rolling)
        .collect()
}

/// Pipeline versions that were read in this call.
#[derive(Default)]
struct Pipelines(BTreeMap<Hash, Pipeline>);

impl Pipelines {
    async fn approval(
        &mut self,
        door: &Door,
        promotion: &Promotion,
    ) -> Result<Option<&ApprovalSpec>, OperateError> {
        let Promotion {
            service,
            environment,
            pipeline,
            ..
        } = promotion;
        let spec = self.spec(door, service, environment, pipeline).await?;
        Ok(spec.and_then(|spec| spec.approval.as_ref()))
    }

    /// What the version says that a rollout works by; only its steps and its alarms are told by it.
    async fn of_rollout(
        &mut self,
        door: &Door,
        state: &Environment,
    ) -> Result<Option<&EnvironmentSpec>, OperateError> {
        match state.under_way() {
            Some(rollout) => {
                self.spec(door, &state.service, &state.name, &rollout.pipeline)
                    .await
            }
            None => Ok(None),
        }
    }

    async fn spec(
        &mut self,
        door: &Door,
        service: &ServiceName,
        environment: &EnvironmentName,
        version: &Hash,
    ) -> Result<Option<&EnvironmentSpec>, OperateError> {
        if !self.0.contains_key(version) {
            let pipeline = load_pipeline(&door.backends.table, service, version).await?;
            self.0.insert(version.clone(), pipeline);
        }
        let pipeline = self.0.get(version);
        Ok(pipeline.and_then(|pipeline| pipeline.environment(environment)))
    }
}

/// A promotion that waits; none where it ended since the environment was read. Who may approve is said by the version
/// that the promotion works by, and read only where people are asked.
async fn look_at(
    door: &Door,
    pipelines: &mut Pipelines,
    state: &Environment,
    id: PromotionId,
) -> Result<Option<WaitingStatus>, OperateError> {
    let Some(promotion) = door
        .backends
        .table
        .promotion(&state.service, &state.name, id)
        .await?
    else {
        return Ok(None);
    };
    if promotion.state.is_final() {
        return Ok(None);
    }
    let asked = match promotion.state {
        PromotionState::AwaitingApproval => pipelines.approval(door, &promotion).await?,
        _ => None,
    };
    Ok(Some(waiting(&promotion, asked)))
}

fn waiting(promotion: &Promotion, asked: Option<&ApprovalSpec>) -> WaitingStatus {
    let approval = promotion.approval.as_ref().filter(|_| asked.is_some());
    let votes = approval
        .map(|approval| approval.votes.as_slice())
        .unwrap_or_default();
    let counts = |person: &PersonName| asked.is_some_and(|spec| spec.approvers.contains(person));
    WaitingStatus {
        release: promotion.id.release,
        attempt: promotion.id.attempt,
        state: promotion.state,
        reason: promotion.reason.clone(),
        since: promotion.wanted_at,
        expires_at: approval.map(|approval| approval.expires_at),
        approvers: asked.map(|spec| spec.approvers.clone()).unwrap_or_default(),
        approved_by: votes
            .iter()
            .filter(|vote| vote.approve && counts(&vote.person))
            .map(|vote| vote.person.clone())
            .collect(),
        quorum: asked.map_or(0, |spec| spec.quorum),
    }
}

fn of_environment(
    state: Environment,
    spec: Option<&EnvironmentSpec>,
    waiting: Vec<WaitingStatus>,
    checks: Vec<CheckStatus>,
) -> EnvironmentStatus {
    // While something is done, what helm was last told may be of what comes.
    let calm = state.lease.is_none();
    // On tracks it may be of the one that has no traffic.
    let tracked = state.tracks.as_ref().is_some_and(|tracks| tracks.by_helm);
    let helm = state.helm.as_ref().filter(|_| calm && !tracked);
    let revision = helm.and_then(|run| run.revision);
    EnvironmentStatus {
        checks,
        tracks: api::tracks(&state, spec),
        alarms: api::alarms(&state, spec),
        // While something is done, the watch rests.
        watch: state.watch.as_ref().filter(|_| calm).map(api::watch),
        activity: state.under_way().map(|rollout| activity(rollout, spec)),
        name: state.name,
        live: state.live.map(|live| LiveStatus {
            release: live.release,
            digest: live.digest,
            since: live.since,
            revision,
        }),
        waiting,
        hold: state.hold,
        fence: state.fence,
    }
}

fn activity(rollout: &Rollout, spec: Option<&EnvironmentSpec>) -> Activity {
    let what = match rollout.kind {
        RolloutKind::Promotion { .. } => "promotion",
        RolloutKind::Rollback { restore: true, .. } => "restore",
        RolloutKind::Rollback { restore: false, .. } => "rollback",
    };
    Activity {
        what: what.to_owned(),
        release: rollout.release,
        phase: rollout.phase,
        started_at: rollout.started_at,
        deadline: rollout.deadline,
        execution: rollout.owner.clone(),
        reason: rollout.waits_for.clone().or_else(|| rollout.reason.clone()),
        traffic: spec.and_then(|spec| api::traffic(rollout, spec)),
        held_until: rollout.held_until,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::{
        at, canary, digest, environment, hash, id, live, on_tracks, person, promotion, under_way,
    };
    use sluice_domain::environment::Phase;
    use sluice_domain::pipeline::Seconds;
    use sluice_domain::promotion::{Approval, Evidence, Vote};
    use sluice_domain::queue::Queued;

    fn queued(release: u32) -> Option<Queued> {
        Some(Queued {
            id: id(release, 1),
            pushed_at: at(0),
            automatic: true,
        })
    }

    #[test]
    fn what_is_rolled_out_is_the_activity_and_does_not_wait() {
        let mut state = environment("production");
        state.live = Some(live(41));
        state.queue.current = queued(42);
        state.queue.next = queued(43);
        assert_eq!(in_the_queue(&state), [id(42, 1), id(43, 1)]);
        let state = under_way(
            state,
            RolloutKind::Promotion { id: id(42, 1) },
            42,
            Phase::Rolling,
        );
        assert_eq!(in_the_queue(&state), [id(43, 1)]);
        insta::assert_json_snapshot!(of_environment(state, None, Vec::new(), Vec::new()));
    }

    #[test]
    fn a_rollout_on_tracks_is_shown_with_its_traffic_and_alarms() {
        let state = on_tracks(Phase::Baking, 1);
        insta::assert_json_snapshot!(of_environment(state, Some(&canary()), Vec::new(), Vec::new()));
    }

    #[test]
    fn a_rollback_is_named_for_what_it_is() {
        for (restore, name) in [(true, "restore"), (false, "rollback")] {
            let kind = RolloutKind::Rollback {
                leaving: None,
                by: "ana".into(),
                restore,
            };
            let state = under_way(environment("dev"), kind, 41, Phase::Rolling);
            assert_eq!(activity(state.rollout.as_ref().unwrap(), None).what, name);
        }
    }

    #[test]
    fn who_may_approve_and_who_did_is_shown_while_people_are_asked() {
        let mut promotion = promotion("production", 42, 1, PromotionState::AwaitingApproval);
        let vote = |name: &str, approve| Vote {
            person: person(name),
            arn: "a".into(),
            at: at(5),
            approve,
            reason: None,
        };
        promotion.approval = Some(Approval {
            evidence: Evidence {
                digest: digest(42),
                pipeline: hash(1),
                replaces: None,
            },
            asked_at: at(1),
            expires_at: at(100),
            votes: vec![vote("ana", true), vote("zoe", true)],
        });
        let spec = ApprovalSpec {
            approvers: vec![person("ana"), person("ben")],
            quorum: 2,
            four_eyes: true,
            expires: Seconds(99),
        };
        let shown = waiting(&promotion, Some(&spec));
        assert_eq!(
            (shown.approved_by, shown.quorum, shown.expires_at),
            (vec![person("ana")], 2, Some(at(100)))
        );
        let shown = waiting(&promotion, None);
        assert_eq!(
            (shown.approved_by, shown.approvers, shown.expires_at),
            (vec![], vec![], None)
        );
    }
}
