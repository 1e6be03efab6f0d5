//! Checks of an environment, below the table of `sluice status`.

use crate::text::{ago, left, plain_line, release, span, wrapped};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use sluice_domain::api::{CheckState, CheckStatus, EnvironmentStatus};

/// A line for each check while something is done, and after that where one did not pass; nothing else. Below the last one
/// that did not, the end of what it printed.
pub fn checks_text(environment: &EnvironmentStatus, width: u16, now: Timestamp) -> String {
    let checks = &environment.checks;
    let open = checks.iter().any(|check| check.state != CheckState::Passed);
    let Some(first) = checks.first().filter(|_| open || environment.activity.is_some()) else {
        return String::new();
    };
    let title = format!("checks of {} in {}:", release(first.release), environment.name);
    let mut text = format!("\n{title}\n");
    for check in checks {
        text.push_str(&wrapped(&line(check, now), width, 2, 4));
        for printed in check.log.iter().flat_map(|log| log.lines()) {
            text.push_str(&cut(&plain_line(printed), width));
        }
    }
    text
}

/// `verify integration (run 2): failed 3 m ago after 20 s: exit code 1`
fn line(check: &CheckStatus, now: Timestamp) -> String {
    let again = match check.attempt {
        1 => String::new(),
        attempt => format!(" (run {attempt})"),
    };
    let took = check
        .answered_at
        .map(|at| span(at.duration_since(check.started_at).as_secs()))
        .unwrap_or_default();
    let since = check.answered_at.map(|at| ago(at, now)).unwrap_or_default();
    let state = match check.state {
        CheckState::Running => format!("runs, {}", left(check.deadline, now)),
        CheckState::AnswersLater => format!("its answer is awaited, {}", left(check.deadline, now)),
        CheckState::Passed => format!("passed {since} after {took}").green().to_string(),
        CheckState::Failed => format!("failed {since} after {took}").red().to_string(),
        CheckState::Inconclusive => format!("no answer {since} after {took}").yellow().to_string(),
    };
    let reason = check
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    format!(
        "{} {}{again}: {state}{reason}",
        check.stage,
        plain_line(&check.name)
    )
}

fn cut(text: &str, width: u16) -> String {
    let room = usize::from(width).saturating_sub(6);
    let kept: String = match text.chars().count() > room {
        true => text
            .chars()
            .take(room.saturating_sub(3))
            .chain("...".chars())
            .collect(),
        false => text.to_owned(),
    };
    format!("    | {kept}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{activity, at, environment, fits, with_activity};
    use sluice_domain::check::Stage;
    use sluice_domain::environment::Phase;
    use sluice_domain::ids::ReleaseNumber;

    fn check(stage: Stage, name: &str, state: CheckState) -> CheckStatus {
        let over = !matches!(state, CheckState::Running | CheckState::AnswersLater);
        let wrong = matches!(state, CheckState::Failed | CheckState::Inconclusive);
        CheckStatus {
            stage,
            name: name.into(),
            release: Some(ReleaseNumber(43)),
            attempt: if wrong { 2 } else { 1 },
            state,
            started_at: at(100),
            answered_at: over.then(|| at(120)),
            deadline: at(400),
            reason: wrong
                .then(|| "Job mc-api-verify-integration-9: the last pod ended with exit code 3".into()),
            log: wrong.then(|| format!("1 of 2 passed\n{}\n\u{1b}[2Jend", "x".repeat(90))),
        }
    }

    #[test]
    fn each_check_has_a_line_while_it_matters() {
        let busy = with_activity(
            environment("staging"),
            activity("promotion", Some(43), Phase::Rolling),
        );
        let mut all = busy.clone();
        all.checks = vec![
            check(Stage::Before, "migrate", CheckState::Passed),
            check(Stage::Verify, "smoke", CheckState::Running),
            check(Stage::Verify, "load-test", CheckState::AnswersLater),
            check(Stage::Verify, "integration", CheckState::Failed),
            check(Stage::Verify, "canary", CheckState::Inconclusive),
        ];
        insta::assert_snapshot!("checks", fits(&checks_text(&all, 80, at(300)), 80));
        // What passed is told while something is done, and not for ever.
        let mut passed = busy;
        passed.checks = vec![check(Stage::Before, "migrate", CheckState::Passed)];
        assert!(checks_text(&passed, 80, at(300)).contains("before migrate: "));
        passed.activity = None;
        assert_eq!(checks_text(&passed, 80, at(300)), "");
        passed.checks = vec![check(Stage::Verify, "integration", CheckState::Failed)];
        assert!(checks_text(&passed, 80, at(300)).contains("failed"));
    }
}
