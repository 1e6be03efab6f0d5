//! `sluice status`: what runs where, and what is under way.

use crate::args::{Global, Status};
use crate::checks::checks_text;
use crate::client::Client;
use crate::decide::{ask, mismatched};
use crate::failure::{Exit, Failure};
use crate::follow::{self, Goal};
use crate::output::Output;
use crate::text::{ago, plain_line, running, table, wrapped};
use crate::traffic::{alarms_text, tracks_text};
use crate::under_way::{activity_text, commands, hold_text, waiting_text, watch_text};
use crate::values::release_of;
use jiff::Timestamp;
use owo_colors::OwoColorize;
use sluice_domain::api::{Answer, EnvironmentStatus, Request, ServiceStatus};
use sluice_domain::ids::{EnvironmentName, ServiceName};

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
    let below: String = service
        .environments
        .iter()
        .flat_map(|environment| {
            [
                tracks_text(environment, width, now),
                alarms_text(environment, width, now),
                checks_text(environment, width, now),
            ]
        })
        .collect();
    format!(
        "{head}\n{}{}{below}",
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
    let watch = environment.watch.iter().map(|watch| watch_text(watch, now));
    let hold = environment.hold.iter().map(|hold| hold_text(hold, now));
    let under_way: Vec<String> = activity.chain(watch).chain(waiting).chain(hold).collect();
    let under_way = if under_way.is_empty() {
        "-".to_owned()
    } else {
        under_way.join("\n")
    };
    [environment.name.to_string(), what, since, under_way]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::*;
    use sluice_domain::alarm::AlarmState;
    use sluice_domain::environment::Phase;
    use sluice_domain::ids::{ExecutionName, ReleaseNumber};
    use sluice_domain::promotion::PromotionState;

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

    #[test]
    fn where_the_traffic_is() {
        let mut set_aside = on_tracks(Phase::Starting);
        set_aside.activity.as_mut().unwrap().traffic = None;
        set_aside.alarms = vec![alarm("mc-api-production-5xx", Some(AlarmState::Alarm))];
        set_aside.alarms.first_mut().unwrap().despite = true;
        let all = [on_tracks(Phase::Baking), watched(Some(3_600)), set_aside];
        let told = all.map(|one| status_text(&[service("mc-api", vec![one])], 80, at(480)));
        insta::assert_snapshot!("status_traffic", fits(&told.join("\n"), 80));
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
