//! Gates: what must hold before a rollout starts.

use crate::budget::Budgets;
use crate::environment::Environment;
use crate::ids::EnvironmentName;
use crate::pipeline::Seconds;
use crate::release::{Image, Release};
use crate::workload::Verdict;
use serde::{Deserialize, Serialize};

/// A condition that must pass before a rollout starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The image is still in ECR, with the same digest and all children.
    Image,
    /// The release is not quarantined.
    Quarantine,
    /// The release was verified in the environment before.
    VerifiedBefore,
    /// What a rollback would bring back is stored, and its image is still there.
    RollbackTarget,
    /// At worst a rollback takes no longer than it may.
    RollbackBudget,
}

/// A gate and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// Which.
    pub gate: Gate,
    /// What it says.
    pub verdict: Verdict,
    /// For people: what was looked at and found.
    pub detail: String,
}

/// What was read for the gates.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The release.
    pub release: &'a Release,
    /// Its image as ECR has it now; none when it is gone.
    pub image: Option<&'a Image>,
    /// The environment before, with whether the release was verified there; none for the first environment.
    pub before: Option<(&'a EnvironmentName, bool)>,
    /// What a rollback would bring back.
    pub rollback: RollbackTarget,
    /// How long that may take at worst, and how long it may; none where nothing would come back.
    pub budget: Option<(&'a Budgets, Seconds)>,
}

/// What a rollback of this rollout would bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTarget {
    /// Nothing ran here under Sluice: there is none yet, which is said.
    NoneYet,
    /// It is stored, and its image is there (or has no digest that could be looked up).
    Ready(String),
    /// Its bundle cannot be read back from the table.
    BundleMissing(String),
    /// Its image is gone from ECR.
    ImageGone(String),
}

/// All gates, each with its verdict.
pub fn check(evidence: &Evidence<'_>) -> Vec<GateResult> {
    vec![
        image(evidence),
        quarantine(evidence.release),
        verified_before(evidence),
        rollback_target(&evidence.rollback),
        rollback_budget(evidence.budget),
    ]
}

/// The first gate that failed, else the first that is inconclusive.
pub fn worst(results: &[GateResult]) -> Option<&GateResult> {
    let failed = results
        .iter()
        .find(|result| matches!(result.verdict, Verdict::Failed(_)));
    failed.or_else(|| results.iter().find(|result| result.verdict != Verdict::Passed))
}

fn result(gate: Gate, verdict: Verdict, passed: impl Into<String>) -> GateResult {
    let detail = match &verdict {
        Verdict::Passed => passed.into(),
        Verdict::Failed(reason) | Verdict::Inconclusive(reason) => reason.clone(),
    };
    GateResult {
        gate,
        verdict,
        detail,
    }
}

fn image(evidence: &Evidence<'_>) -> GateResult {
    let release = evidence.release;
    let verdict = match evidence.image {
        None => Verdict::Failed(format!("image {} is no longer in ECR", release.digest)),
        Some(image) if image.digest != release.digest => {
            Verdict::Failed(format!("ECR answers {} for {}", image.digest, release.digest))
        }
        Some(image) if image.children != release.children => Verdict::Failed(format!(
            "the index {} has other children than when it was recorded",
            release.digest
        )),
        Some(_) => Verdict::Passed,
    };
    result(
        Gate::Image,
        verdict,
        format!("image {} is in ECR", release.digest.short()),
    )
}

fn quarantine(release: &Release) -> GateResult {
    let verdict = release.quarantine.as_ref().map_or(Verdict::Passed, |quarantine| {
        Verdict::Failed(format!(
            "{} is quarantined by {}: {}",
            release.number, quarantine.by, quarantine.reason
        ))
    });
    result(Gate::Quarantine, verdict, "not quarantined")
}

fn verified_before(evidence: &Evidence<'_>) -> GateResult {
    let number = evidence.release.number;
    match evidence.before {
        None => result(Gate::VerifiedBefore, Verdict::Passed, "the first environment"),
        Some((before, true)) => result(
            Gate::VerifiedBefore,
            Verdict::Passed,
            format!("verified in {before}"),
        ),
        Some((before, false)) => {
            let why = format!("{number} was never verified in {before}");
            result(Gate::VerifiedBefore, Verdict::Failed(why), "")
        }
    }
}

fn rollback_target(target: &RollbackTarget) -> GateResult {
    let (verdict, passed) = match target {
        RollbackTarget::NoneYet => (
            Verdict::Passed,
            "no rollback target yet: nothing ran here under Sluice".to_owned(),
        ),
        RollbackTarget::Ready(what) => (Verdict::Passed, format!("a rollback would bring back {what}")),
        RollbackTarget::BundleMissing(what) => (
            Verdict::Failed(format!(
                "a rollback would bring back {what}, but its bundle cannot be read"
            )),
            String::new(),
        ),
        RollbackTarget::ImageGone(what) => (
            Verdict::Failed(format!(
                "a rollback would bring back {what}, but its image is gone from ECR"
            )),
            String::new(),
        ),
    };
    result(Gate::RollbackTarget, verdict, passed)
}

fn rollback_budget(budget: Option<(&Budgets, Seconds)>) -> GateResult {
    let Some((budgets, limit)) = budget else {
        let passed = "nothing would come back that could take too long";
        return result(Gate::RollbackBudget, Verdict::Passed, passed);
    };
    let verdict = budgets.refusal(limit).map_or(Verdict::Passed, Verdict::Failed);
    let fits = || format!("a rollback takes at most {} of {limit}", budgets.worst.seconds);
    let passed = budgets.doubt(limit).unwrap_or_else(fits);
    result(Gate::RollbackBudget, verdict, passed)
}

/// Why automatic promotion into the environment is stopped, in a sentence.
pub fn held(environment: &Environment) -> Option<String> {
    let hold = environment.hold.as_ref()?;
    Some(format!(
        "{} is on hold since {} by {}: {}",
        environment.name, hold.at, hold.by, hold.reason
    ))
}
