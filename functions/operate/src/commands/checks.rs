//! The checks of what is being done to an environment, or was done last, as `status` shows them.

use sluice_domain::api::{CheckState, CheckStatus};
use sluice_domain::check::CheckRun;
use sluice_domain::environment::Environment;
use sluice_domain::workload::Verdict;
use sluice_lambda::Failure;
use sluice_table::{Table, TableError};

/// How many lines of a log are shown.
const LINES: usize = 10;
/// The most bytes of a log that are shown.
const BYTES: usize = 4096;

/// The last run of each check, in the order of their first runs.
pub fn checks(environment: &Environment) -> Vec<CheckStatus> {
    let Some(rollout) = &environment.rollout else {
        return Vec::new();
    };
    let mut last: Vec<&CheckRun> = Vec::new();
    for run in &rollout.checks {
        match last.iter_mut().find(|one| is_same(one, run)) {
            Some(earlier) => *earlier = run,
            None => last.push(run),
        }
    }
    last.into_iter()
        .map(|run| CheckStatus {
            stage: run.stage,
            name: run.name.clone(),
            release: rollout.release,
            attempt: run.attempt,
            state: state(run),
            started_at: run.started_at,
            answered_at: run.answered_at,
            deadline: run.deadline,
            reason: reason(run),
            log: None,
        })
        .collect()
}

/// Adds what the last one printed that failed or gave no answer. A log that is gone is not worth failing for.
pub async fn with_log(
    table: &Table,
    environment: &Environment,
    shown: &mut [CheckStatus],
) -> Result<(), Failure> {
    let wrong = |run: &&CheckRun| matches!(run.answer, Some(Verdict::Failed(_) | Verdict::Inconclusive(_)));
    let runs = environment.rollout.iter().flat_map(|rollout| &rollout.checks);
    let Some(run) = runs.rev().find(wrong) else {
        return Ok(());
    };
    let one = shown
        .iter_mut()
        .find(|one| (one.stage, &one.name, one.attempt) == (run.stage, &run.name, run.attempt));
    let (Some(one), Some(hash)) = (one, &run.log) else {
        return Ok(());
    };
    match table.blob(hash).await {
        Ok(log) => one.log = Some(tail(&String::from_utf8_lossy(&log))).filter(|log| !log.is_empty()),
        Err(TableError::Missing { .. } | TableError::Corrupt { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn is_same(one: &CheckRun, other: &CheckRun) -> bool {
    (one.stage, &one.name) == (other.stage, &other.name)
}

fn state(run: &CheckRun) -> CheckState {
    match &run.answer {
        None if run.later => CheckState::AnswersLater,
        None => CheckState::Running,
        Some(Verdict::Passed) => CheckState::Passed,
        Some(Verdict::Failed(_)) => CheckState::Failed,
        Some(Verdict::Inconclusive(_)) => CheckState::Inconclusive,
    }
}

fn reason(run: &CheckRun) -> Option<String> {
    match &run.answer {
        Some(Verdict::Failed(reason) | Verdict::Inconclusive(reason)) => Some(reason.clone()),
        Some(Verdict::Passed) | None => None,
    }
}

/// The last lines without control characters: what a Job prints must not steer a terminal.
fn tail(log: &str) -> String {
    let plain = |line: &str| -> String {
        let tabs = line.replace('\t', "    ");
        tabs.chars().filter(|c| !c.is_control()).collect()
    };
    let lines: Vec<String> = log.lines().map(plain).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    let mut text = last.join("\n");
    if text.len() > BYTES {
        let mut from = text.len().saturating_sub(BYTES);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text.drain(..from);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::samples::{at, environment, id, under_way};
    use sluice_domain::check::Stage;
    use sluice_domain::environment::{Phase, RolloutKind};
    use sluice_domain::ids::Fence;

    fn run(stage: Stage, name: &str, attempt: u32, answer: Option<Verdict>) -> CheckRun {
        CheckRun {
            stage,
            name: name.into(),
            attempt,
            fence: Fence(8),
            started_at: at(10),
            deadline: at(310),
            answered_at: answer.as_ref().map(|_| at(20)),
            answer,
            later: name == "load",
            log: None,
        }
    }

    #[test]
    fn each_check_is_shown_once_as_it_was_last() {
        let promotion = RolloutKind::Promotion { id: id(42, 1) };
        let mut environment = under_way(environment("dev"), promotion, 42, Phase::Rolling);
        let silent = Verdict::Inconclusive("no answer".into());
        environment.rollout.as_mut().unwrap().checks = vec![
            run(Stage::Before, "migrate", 1, Some(silent)),
            run(Stage::Before, "migrate", 2, Some(Verdict::Passed)),
            run(
                Stage::Verify,
                "migrate",
                1,
                Some(Verdict::Failed("exit code 3".into())),
            ),
            run(Stage::Verify, "load", 1, None),
            run(Stage::Verify, "smoke", 1, None),
        ];
        let told: Vec<_> = checks(&environment)
            .into_iter()
            .map(|one| {
                let (stage, name, reason) = (one.stage, one.name, one.reason.unwrap_or_default());
                format!("{stage} {name} {} {:?} {reason}", one.attempt, one.state)
            })
            .collect();
        assert_eq!(
            told,
            [
                "before migrate 2 Passed ",
                "verify migrate 1 Failed exit code 3",
                "verify load 1 AnswersLater ",
                "verify smoke 1 Running ",
            ]
        );
        environment.rollout = None;
        assert!(checks(&environment).is_empty());
    }

    #[test]
    fn the_end_of_a_log_is_shown_without_what_steers_a_terminal() {
        assert_eq!(tail(""), "");
        assert_eq!(tail("a\u{1b}[2J\r\n\tb\u{7}\n"), "a[2J\n    b");
        let many: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
        assert_eq!(
            tail(&many.join("\n")),
            many.get(20..).unwrap_or_default().join("\n")
        );
        let long = tail(&"\u{e9}".repeat(5_000));
        assert!(long.len() <= BYTES && long.len() > BYTES - 4, "{}", long.len());
    }
}
