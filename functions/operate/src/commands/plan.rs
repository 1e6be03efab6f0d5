//! `plan`: what a promotion would change, and what stands in its way. Nothing is written.

use super::promote::{newest, not_in_its_pipeline, stands_against};
use crate::door::Door;
use crate::error::OperateError;
use crate::place::{Known, Place, in_care, known, no_environment, release};
use sluice_domain::api::{Answer, PlanApproval, PlanRequest, Refusal, RefusalKind};
use sluice_domain::environment::Environment;
use sluice_domain::gates::GateResult;
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::pipeline::ApprovalSpec;
use sluice_domain::release::Release;
use sluice_domain::workload::Verdict;
use sluice_transitions::{gates_of, load_pipeline};

/// Plans the release that is named, else the one that `promote` would choose, else the newest one.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    wanted: Option<ReleaseNumber>,
) -> Result<Answer, OperateError> {
    let known = known(door, caller_arn, &at.service).await?;
    in_care(&known.meta)?;
    if known.pipeline.environment(&at.environment).is_none() {
        let there = known.pipeline.environments.iter().map(|spec| spec.name.clone());
        return Err(no_environment(at, &there.collect::<Vec<_>>()));
    }
    let release = match wanted {
        Some(number) => release(door, &at.service, number).await?,
        None => chosen(door, at, &known).await?,
    };
    let table = &door.backends.table;
    let pinned = load_pipeline(table, &at.service, &release.pipeline).await?;
    let Some(spec) = pinned.environment(&at.environment) else {
        return Err(not_in_its_pipeline(at, &release));
    };
    let environment = table.environment(&at.service, &at.environment).await?;
    let asked = PlanRequest {
        service: at.service.clone(),
        environment: at.environment.clone(),
        release: release.number,
    };
    // side by side: the plan takes the longest
    let (plan, gates) = futures::join!(
        door.plans.plan(&asked),
        gates_of(&door.backends, &pinned, &release, &environment)
    );
    let mut plan = plan?;
    plan.gates = in_the_way(at, &release, &environment, &gates?);
    plan.approval = spec.approval.as_ref().map(asks);
    Ok(Answer::Plan(Box::new(plan)))
}

/// As `promote` chooses; where it would find none, the newest release, whose gates then say why.
async fn chosen(door: &Door, at: &Place, known: &Known) -> Result<Release, OperateError> {
    let refusal = match newest(door, at, known).await {
        Err(OperateError::Refusal(
            refusal @ Refusal {
                kind: RefusalKind::Refused,
                ..
            },
        )) => refusal,
        other => return other,
    };
    match &known.meta.newest {
        Some(newest) => release(door, &at.service, newest.number).await,
        None => Err(refusal.into()),
    }
}

/// What a promotion would wait for, or be refused for, a sentence each.
fn in_the_way(at: &Place, release: &Release, environment: &Environment, gates: &[GateResult]) -> Vec<String> {
    let failed = gates.iter().filter(|gate| gate.verdict != Verdict::Passed);
    let mut found: Vec<String> = failed.map(|gate| gate.detail.clone()).collect();
    // a quarantine is a gate already
    if release.quarantine.is_none()
        && let Some(OperateError::Refusal(refusal)) = stands_against(at, release, environment)
    {
        found.push(refusal.message.trim_end_matches('.').to_owned());
    } else if let Some(rollout) = environment.under_way() {
        found.push(format!("{} changes {} now", rollout.owner, at.environment));
    }
    found
}

fn asks(approval: &ApprovalSpec) -> PlanApproval {
    PlanApproval {
        approvers: approval.approvers.clone(),
        quorum: approval.quorum,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::{environment, id, live, place, release, under_way};
    use sluice_domain::environment::{Phase, RolloutKind};
    use sluice_domain::gates::Gate;

    #[test]
    fn what_stands_in_the_way_is_said_once() {
        let gate = |verdict, detail: &str| GateResult {
            gate: Gate::Image,
            verdict,
            detail: detail.into(),
        };
        let gates = [
            gate(Verdict::Passed, "fine"),
            gate(Verdict::Failed("x".into()), "#42 was never verified in dev"),
            gate(Verdict::Inconclusive("x".into()), "ECR does not answer"),
        ];
        let mut calm = environment("production");
        calm.live = Some(live(41));
        let kind = RolloutKind::Promotion { id: id(43, 1) };
        let busy = under_way(calm.clone(), kind, 43, Phase::Rolling);
        let mut shut = release(42);
        shut.quarantine = Some(sluice_domain::release::Quarantine {
            by: "ana".into(),
            at: crate::samples::at(0),
            reason: "CVE".into(),
        });
        let told = [
            (release(42), &calm, &gates[..]),
            (release(41), &calm, &[]),
            (release(42), &busy, &[]),
            (release(43), &busy, &[]),
            (shut, &calm, &[]),
        ]
        .map(|(release, environment, gates)| {
            in_the_way(&place("production"), &release, environment, gates).join("; ")
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        #42 was never verified in dev; ECR does not answer
        mc-api#41 is live in production already
        mc-api-43-production-1 changes production now
        mc-api#43 is being rolled out in production already
        ");
    }
}
