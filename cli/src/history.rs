//! `sluice history`: releases, and where each went.

use crate::args::{Global, History};
use crate::client::Client;
use crate::decide::{ask, mismatched};
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{ago, plain_line, state, table};
use crate::values::release_of;
use jiff::Timestamp;
use owo_colors::OwoColorize;
use sluice_domain::api::{Answer, PromotionHistory, ReleaseHistory, Request};

/// Shows releases, newest first.
pub async fn run(global: &Global, output: &Output, args: &History) -> Result<(), Failure> {
    let request = Request::History {
        service: args.service.clone(),
        environment: args.environment.clone(),
        limit: args.limit,
        before: release_of(args.before.as_ref(), &args.service)?,
    };
    let answer = ask(&Client::open(global).await?, output, &request).await?;
    let Answer::History { releases, more } = &answer else {
        return Err(mismatched());
    };
    let older = releases.last().filter(|_| *more).map(|last| older(args, last));
    output.answer(
        &history_text(releases, older.as_deref(), output.width(), Timestamp::now()),
        &answer,
    )
}

fn older(args: &History, last: &ReleaseHistory) -> String {
    let environment = args
        .environment
        .as_ref()
        .map(|name| format!(" --environment {name}"))
        .unwrap_or_default();
    format!(
        "sluice history {}{environment} --before {}",
        args.service, last.number.0
    )
}

fn history_text(releases: &[ReleaseHistory], older: Option<&str>, width: u16, now: Timestamp) -> String {
    if releases.is_empty() {
        return "No releases.".to_owned();
    }
    let rows = releases.iter().map(|release| row(release, now)).collect();
    let mut text = table(
        width,
        ["RELEASE", "DIGEST", "SOURCE", "PUSHED", "WHERE IT WENT"],
        rows,
    );
    if let Some(older) = older {
        text.push_str(&format!("\n{} {older}\n", "older:".cyan()));
    }
    text
}

fn row(release: &ReleaseHistory, now: Timestamp) -> [String; 5] {
    [
        release.number.to_string(),
        release.digest.short().to_owned(),
        source(release),
        ago(release.pushed_at, now),
        went(release, now),
    ]
}

/// The commit, else the first tag, cut at 12 characters.
fn source(release: &ReleaseHistory) -> String {
    let source = release.commit.as_ref().or(release.tags.first());
    source.map_or_else(
        || "-".to_owned(),
        |source| plain_line(source).chars().take(12).collect(),
    )
}

fn went(release: &ReleaseHistory, now: Timestamp) -> String {
    let quarantine = release.quarantine.as_ref().map(|quarantine| {
        let why = plain_line(&quarantine.reason);
        format!(
            "quarantined {} by {}: {why}",
            ago(quarantine.at, now),
            plain_line(&quarantine.by)
        )
    });
    let lines: Vec<String> = quarantine
        .into_iter()
        .chain(release.promotions.iter().map(|one| line(one, now)))
        .collect();
    if lines.is_empty() {
        "-".to_owned()
    } else {
        lines.join("\n")
    }
}

/// A reason is only shown where something is not as wished.
fn line(promotion: &PromotionHistory, now: Timestamp) -> String {
    let at = ago(promotion.ended_at.unwrap_or(promotion.wanted_at), now);
    let attempt = if promotion.attempt > 1 {
        format!(" (attempt {})", promotion.attempt)
    } else {
        String::new()
    };
    let well = promotion.state == sluice_domain::promotion::PromotionState::Verified;
    let reason = promotion.reason.as_ref().filter(|_| !well);
    let reason = reason
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    format!(
        "{} {} {at}{attempt}{reason}",
        promotion.environment,
        state(promotion.state)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::*;
    use sluice_domain::ids::ReleaseNumber;
    use sluice_domain::promotion::PromotionState::{AwaitingApproval, Failed, Superseded, Verified};
    use sluice_domain::release::Quarantine;

    #[test]
    fn where_each_release_went() {
        let mut failed = release_history(42, &[("dev", Failed)]);
        failed.quarantine = Some(Quarantine {
            by: "ana".into(),
            at: at(60),
            reason: "CVE-2026-1234".into(),
        });
        failed.commit = None;
        let mut bare = release_history(40, &[]);
        (bare.commit, bare.tags) = (None, Vec::new());
        let mut again = release_history(41, &[("dev", Verified), ("staging", Superseded)]);
        again
            .promotions
            .iter_mut()
            .for_each(|promotion| promotion.attempt = 2);
        let newest = release_history(
            43,
            &[
                ("dev", Verified),
                ("staging", Verified),
                ("production", AwaitingApproval),
            ],
        );
        let text = history_text(
            &[newest, failed, again, bare],
            Some("sluice history mc-api --before 40"),
            80,
            at(7_200),
        );
        insta::assert_snapshot!("history", fits(&text, 80));
        insta::assert_snapshot!(history_text(&[], None, 80, at(0)), @"No releases.");
    }

    #[test]
    fn the_longest_names_fit_too() {
        let mut longest = release_history(1, &[(&"e".repeat(20), Failed)]);
        longest.number = ReleaseNumber(u32::MAX);
        longest.commit = Some("c".repeat(300));
        longest
            .promotions
            .iter_mut()
            .for_each(|one| one.reason = Some("w".repeat(200)));
        insta::assert_snapshot!(
            "history_longest",
            fits(&history_text(&[longest], None, 80, at(86_400 * 9_999)), 80)
        );
    }
}
