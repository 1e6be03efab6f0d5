//! `sluice status`: what runs where, and what is under way.

use crate::args::{Global, Status};
use crate::checks::checks_text;
use crate::client::Client;
use crate::decide::{ask, mismatched};
use crate::failure::{Exit, Failure};
use crate::follow::{self, Goal};
use crate::output::Output;
use crate::text::{ago, left, phase, plain_line, release, running, state, table, wrapped};
use crate::values::release_of;
use jiff::Timestamp;
use owo_colors::OwoColorize;
use sluice_domain::api::{
    Activity, Answer, CheckState, EnvironmentStatus, Request, ServiceStatus, WaitingStatus,
};
use sluice_domain::environment::{Hold, Phase};
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_domain::promotion::PromotionState;

/// Shows the present state, or follows it.
pub async fn run(global: &Global, output: &Output, args: &Status) -> Result<(), Failure> {
    let goal = if args.follow { Some(goal(args)?) } else { None };
    let client = Client::open(global).await?;
    if let Some(goal) = goal {
        return follow::run(&client, output, goal, args.interval.0).await;
    }
    let answer = ask(
        &client,
        output,
        &Request::Status {
            service: args.service.clone(),
        },
    )
    .await?;
    let services = only(
        services_of(answer)?,
        args.service.as_ref(),
        args.environment.as_ref(),
    )?;
    let text = status_text(&services, output.width(), Timestamp::now());
    output.answer(&text, &Answer::Status { services })
}

fn goal(args: &Status) -> Result<Goal, Failure> {
    if let (Some(service), Some(environment), Some(release)) =
        (&args.service, &args.environment, &args.release)
    {
        let release = release.of(service)?;
        return Ok(Goal::Release {
            service: service.clone(),
            environment: environment.clone(),
            release,
        });
    }
    if let (Some(service), Some(release)) = (&args.service, &args.release) {
        release_of(Some(release), service)?;
    }
    Ok(Goal::Quiet {
        service: args.service.clone(),
        environment: args.environment.clone(),
    })
}

/// The services of an answer to `status`.
pub fn services_of(answer: Answer) -> Result<Vec<ServiceStatus>, Failure> {
    if let Answer::Status { services } = answer {
        Ok(services)
    } else {
        Err(mismatched())
    }
}

/// Only the environment asked for. None of that name is an error, not an empty table.
pub fn only(
    mut services: Vec<ServiceStatus>,
    service: Option<&ServiceName>,
    environment: Option<&EnvironmentName>,
) -> Result<Vec<ServiceStatus>, Failure> {
    let Some(environment) = environment else {
        return Ok(services);
    };
    services
        .iter_mut()
        .for_each(|service| service.environments.retain(|one| one.name == *environment));
    services.retain(|service| !service.environments.is_empty());
    if !services.is_empty() {
        return Ok(services);
    }
    let of = service.map_or_else(|| "No service has".to_owned(), |service| format!("{service} has"));
    let none = if service.is_some() { "no" } else { "an" };
    let failure = Failure::new(
        Exit::NotFound,
        format!("{of} {none} environment named {environment}."),
    );
    Err(failure.next(service.map_or_else(
        || "sluice status".to_owned(),
        |service| format!("sluice status {service}"),
    )))
}

/// One table a service, and below them the commands that somebody is waited for to type.
pub fn status_text(services: &[ServiceStatus], width: u16, now: Timestamp) -> String {
    if services.is_empty() {
        return format!(
            "No services yet.\n{} sluice apply pipelines/<service>.toml",
            "next:".cyan()
        );
    }
    let mut text: Vec<String> = services
        .iter()
        .map(|service| service_text(service, width, now))
        .collect();
    let asked: Vec<String> = services.iter().flat_map(commands).collect();
    if !asked.is_empty() {
        text.push(format!("{}\n{}\n", "next:".cyan(), asked.join("\n")));
    }
    text.join("\n")
}

fn service_text(service: &ServiceStatus, width: u16, now: Timestamp) -> String {
    let newest = service.newest.map_or_else(
        || "no release yet".to_owned(),
        |newest| format!("newest {newest}"),
    );
    let about = format!("{newest}, pipeline {}", service.pipeline.short());
    let repository = format!("repository {}", plain_line(&service.repository));
    let one_line = format!("{}: {about}, {repository}", service.service);
    let head = match one_line.chars().count() <= usize::from(width) {
        true => format!("{}: {about}, {repository}", service.service.bold()),
        false => format!(
            "{}:\n  {about}\n  {}",
            service.service.bold(),
            cut(&repository, width.saturating_sub(2))
        ),
    };
    let rows = service
        .environments
        .iter()
        .map(|environment| row(environment, now))
        .collect();
    let removed = service.removed.as_ref().map(|removed| {
        let by = plain_line(&removed.by);
        let said = format!("removed from Sluice's care {} by {by}", ago(removed.at, now));
        wrapped(&said, width, 2, 4)
    });
    let checks: String = service
        .environments
        .iter()
        .map(|environment| checks_text(environment, width, now))
        .collect();
    format!(
        "{head}\n{}{}{checks}",
        removed.unwrap_or_default(),
        table(width, ["ENVIRONMENT", "LIVE", "SINCE", "UNDER WAY"], rows)
    )
}

/// Cut in the middle of nothing: an ECR repository's name may have 256 characters.
fn cut(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    kept + "..."
}

fn row(environment: &EnvironmentStatus, now: Timestamp) -> [String; 4] {
    let live = environment.live.as_ref();
    let what = live.map_or_else(
        || "nothing".to_owned(),
        |live| {
            let revision = live
                .revision
                .map(|revision| format!("\nhelm revision {revision}"))
                .unwrap_or_default();
            running(live.release, live.digest.as_ref()) + &revision
        },
    );
    let since = live.map_or_else(|| "-".to_owned(), |live| ago(live.since, now));
    let activity = environment
        .activity
        .iter()
        .map(|activity| activity_text(activity, now));
    let waiting = environment
        .waiting
        .iter()
        .map(|waiting| waiting_text(waiting, now));
    let hold = environment.hold.iter().map(|hold| hold_text(hold, now));
    let under_way: Vec<String> = activity.chain(waiting).chain(hold).collect();
    let under_way = if under_way.is_empty() {
        "-".to_owned()
    } else {
        under_way.join("\n")
    };
    [environment.name.to_string(), what, since, under_way]
}

/// `promotion of #43: rolling out, 8 m left`
pub fn activity_text(activity: &Activity, now: Timestamp) -> String {
    let what = plain_line(&activity.what);
    let whom = activity
        .release
        .map_or_else(String::new, |number| format!(" of {}", release(Some(number))));
    let to = if activity.what == "promotion" {
        whom
    } else {
        format!(" to {}", release(activity.release))
    };
    let time = match activity.phase {
        _ if activity.held_until.is_some() => activity
            .held_until
            .map(|until| format!(", held, {}", left(until, now)))
            .unwrap_or_default(),
        Phase::Starting | Phase::Rolling | Phase::Shifting | Phase::Baking | Phase::Restoring => {
            format!(", {}", left(activity.deadline, now))
        }
        Phase::Verified | Phase::Restored | Phase::Stuck => String::new(),
    };
    let reason = activity
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    format!("{what}{to}: {}{time}{reason}", phase(activity.phase))
}

/// `#44 awaiting approval: 1 of 2 (ana), ben may; 20 h left`
pub fn waiting_text(waiting: &WaitingStatus, now: Timestamp) -> String {
    let reason = waiting
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    if waiting.state != PromotionState::AwaitingApproval {
        return format!("{} {}{reason}", waiting.release, state(waiting.state));
    }
    let names = |names: &[_]| {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let said = match waiting.approved_by.as_slice() {
        [] => String::new(),
        yes => format!(" ({})", names(yes)),
    };
    let may: Vec<_> = waiting
        .approvers
        .iter()
        .filter(|name| !waiting.approved_by.contains(name))
        .cloned()
        .collect();
    let may = if may.is_empty() {
        String::new()
    } else {
        format!(", may approve: {}", names(&may))
    };
    let until = waiting
        .expires_at
        .map(|at| format!("; {}", left(at, now)))
        .unwrap_or_default();
    format!(
        "{} awaiting approval: {} of {}{said}{may}{until}",
        waiting.release,
        waiting.approved_by.len(),
        waiting.quorum
    )
}

fn hold_text(hold: &Hold, now: Timestamp) -> String {
    let lifted = if hold.after_rollback {
        "; a newer push lifts it"
    } else {
        ""
    };
    format!(
        "held by {} {}: {}{lifted}",
        plain_line(&hold.by),
        ago(hold.at, now),
        plain_line(&hold.reason)
    )
}

/// What a person could type now: approvals and answers that are waited for, and the way out where a rollout is held or
/// stuck.
fn commands(service: &ServiceStatus) -> Vec<String> {
    let name = &service.service;
    let of_environment = |environment: &EnvironmentStatus| {
        let place = format!("{name} {}", environment.name);
        let stuck = environment
            .activity
            .iter()
            .filter(|activity| activity.phase == Phase::Stuck);
        let stuck = stuck.map(|_| format!("  sluice rollback {place}"));
        let held = environment
            .activity
            .iter()
            .filter(|activity| activity.held_until.is_some());
        let held = held.flat_map(|activity| {
            let release = activity
                .release
                .map(|release| format!(" {}", release.0))
                .unwrap_or_default();
            [
                format!("  sluice retry {place}"),
                format!("  sluice abort {place}{release}"),
            ]
        });
        let later = environment
            .checks
            .iter()
            .filter(|check| environment.activity.is_some() && check.state == CheckState::AnswersLater);
        let later =
            later.map(|check| format!("  sluice answer {place} {} --passed", plain_line(&check.name)));
        let asked = environment
            .waiting
            .iter()
            .filter(|one| one.state == PromotionState::AwaitingApproval);
        let asked = asked.map(|one| format!("  sluice approve {place} {}", one.release.0));
        stuck.chain(held).chain(later).chain(asked).collect::<Vec<_>>()
    };
    service.environments.iter().flat_map(of_environment).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::*;
    use sluice_domain::ids::{ExecutionName, ReleaseNumber};

    fn busy() -> Vec<ServiceStatus> {
        let dev = with_live(environment("dev"), Some(43));
        let rolling = activity("promotion", Some(43), Phase::Rolling);
        let staging = with_activity(with_live(environment("staging"), Some(42)), rolling);
        let production = held(with_live(environment("production"), Some(41)));
        let production = with_waiting(production, waiting(42, PromotionState::AwaitingApproval));
        let production = with_waiting(production, waiting(43, PromotionState::Wanted));
        let mut failing = activity("promotion", Some(7), Phase::Stuck);
        failing.reason =
            Some("pod mc-web-7d9 cannot start: ImagePullBackOff, and #6 did not come back in 5 m".into());
        let web = vec![
            with_activity(with_live(environment("production"), None), failing),
            environment("canary"),
        ];
        let mut silent = activity("promotion", Some(3), Phase::Rolling);
        silent.reason = Some("verify integration: no answer by 12:00".into());
        silent.held_until = Some(at(1_800));
        let mut by_helm = with_live(environment("production"), Some(2));
        by_helm.live.as_mut().unwrap().revision = Some(7);
        let held = with_activity(with_live(environment("staging"), Some(2)), silent);
        let mut gone = service("mc-old", vec![with_live(environment("production"), Some(9))]);
        gone.removed = Some(sluice_domain::service::Removed {
            by: "ana".into(),
            at: at(0),
        });
        vec![
            service("mc-api", vec![dev, staging, production]),
            service("mc-jobs", vec![held, by_helm]),
            gone,
            service("mc-web", web),
        ]
    }

    #[test]
    fn what_runs_where() {
        insta::assert_snapshot!("status", fits(&status_text(&busy(), 80, at(300)), 80));
        insta::assert_snapshot!("status_wide", fits(&status_text(&busy(), 120, at(300)), 120));
        insta::assert_snapshot!("status_none", fits(&status_text(&[], 80, at(0)), 80));
    }

    /// The longest names, numbers and words that the types allow.
    #[test]
    fn the_longest_names_fit_too() {
        let mut longest = environment(&"e".repeat(20));
        longest.live = with_live(longest.clone(), Some(u32::MAX)).live;
        longest.live.as_mut().unwrap().since = at(-86_400 * 9_999);
        let mut activity = activity("promotion", Some(u32::MAX), Phase::Restoring);
        activity.execution = ExecutionName::parse(&"x".repeat(80)).unwrap();
        activity.reason = Some(format!("pod {}\u{1b}[31m\nsays: no", "p".repeat(63)));
        longest.activity = Some(activity);
        let mut asked = waiting(u32::MAX, PromotionState::AwaitingApproval);
        asked.approvers = ["a", "b", "c"].map(|letter| person(&letter.repeat(40))).into();
        asked.approved_by = vec![person(&"c".repeat(40))];
        longest.waiting = vec![asked];
        let mut one = service(&"s".repeat(40), vec![longest]);
        one.repository = "r".repeat(256);
        one.newest = Some(ReleaseNumber(u32::MAX));
        let text = status_text(&[one], 80, at(0));
        let shown = text
            .lines()
            .filter(|line| !line.contains("sluice approve"))
            .collect::<Vec<_>>()
            .join("\n");
        insta::assert_snapshot!("status_longest", fits(&shown, 80));
        assert!(text.contains(&format!(
            "sluice approve {} {} {}",
            "s".repeat(40),
            "e".repeat(20),
            u32::MAX
        )));
    }

    #[test]
    fn an_environment_that_is_not_there_is_not_found() {
        let failure = only(busy(), None, Some(&env("nowhere"))).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        let failure = only(busy(), Some(&name("mc-api")), Some(&env("nowhere"))).unwrap_err();
        assert_eq!(failure.message, "mc-api has no environment named nowhere.");
        let kept = only(busy(), None, Some(&env("production"))).unwrap();
        assert_eq!(
            kept.iter()
                .map(|service| service.environments.len())
                .collect::<Vec<_>>(),
            [1, 1, 1, 1]
        );
    }
}
