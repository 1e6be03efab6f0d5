//! `sluice plan`: what a promotion would change, object by object.

mod value;

use crate::args::{Global, Place, Plan as PlanArgs};
use crate::client::Client;
use crate::decide::{ask, mismatched};
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{plain_line, wrapped};
use crate::values::release_of;
use owo_colors::OwoColorize;
use sluice_domain::api::{Answer, Plan, Request};
use sluice_domain::difference::{Change, Difference};
use sluice_domain::ids::PersonName;
use sluice_domain::pipeline::OnDrift;
use std::time::Duration;
use value::change_lines;

/// How long a plan may take: `operate` has 90 s for it.
const WITHIN: Duration = Duration::from_secs(100);
/// The most fields of an object that are shown to people.
const MOST_FIELDS: usize = 40;

/// Shows the plan.
pub async fn run(global: &Global, output: &Output, args: &PlanArgs) -> Result<(), Failure> {
    let Place { service, environment } = args.place.clone();
    let release = release_of(args.release.as_ref(), &service)?;
    let request = Request::Plan {
        service,
        environment,
        release,
    };
    let client = Client::open_for(global, WITHIN).await?;
    let answer = ask(&client, output, &request).await?;
    let Answer::Plan(plan) = &answer else {
        return Err(mismatched());
    };
    output.answer(&plan_text(plan, output.width()), &answer)
}

fn plan_text(plan: &Plan, width: u16) -> String {
    let mut text = wrapped(&head(plan), width, 0, 2);
    text.push('\n');
    match plan.changes.as_slice() {
        [] => text.push_str("Nothing would change in the cluster.\n"),
        changes => {
            for change in changes {
                text.push_str(&object(change, width));
            }
        }
    }
    text.push('\n');
    text.push_str(&drift(plan, width));
    for (title, what) in facts(plan) {
        text.push_str(&wrapped(&format!("{title:<10}{what}"), width, 0, 10));
    }
    if !plan.gates.is_empty() {
        text.push_str(&format!("\n{}\n", "in its way:".yellow()));
        for gate in &plan.gates {
            text.push_str(&wrapped(&format!("- {}", plain_line(gate)), width, 2, 4));
        }
    }
    let place = format!("{} {}", plan.service, plan.environment);
    let next = match plan.gates.as_slice() {
        [] => format!("sluice promote {place} {}", plan.release.0),
        _ => format!(
            "sluice status {} --environment {}",
            plan.service, plan.environment
        ),
    };
    text + &format!("\n{} {next}\n", "next:".cyan())
}

/// `mc-api#42 (1a2b3c4d5e6f) into production, over #41; helm revision 7 runs now`
fn head(plan: &Plan) -> String {
    let over = match plan.replaces {
        Some(release) if release == plan.release => ", where it runs already".to_owned(),
        Some(release) => format!(", over {release}"),
        None => ", where nothing of Sluice's runs".to_owned(),
    };
    let revision = plan
        .revision
        .map(|revision| format!("; helm revision {revision} runs now"))
        .unwrap_or_default();
    format!(
        "{}{} ({}) into {}{over}{revision}",
        plan.service,
        plan.release,
        plan.digest.short(),
        plan.environment
    )
}

fn object(change: &Difference, width: u16) -> String {
    let name = format!("{} {}", plain_line(&change.kind), plain_line(&change.name));
    let line = match change.change {
        Change::Create => format!("+ {name}").green().to_string(),
        Change::Change => format!("~ {name}").yellow().to_string(),
        Change::Delete => format!("- {name}").red().to_string(),
    };
    let mut text = format!("{line}\n");
    for field in change.fields.iter().take(MOST_FIELDS) {
        text.push_str(&change_lines(field, width));
    }
    let more = change.fields.len().saturating_sub(MOST_FIELDS);
    if more > 0 {
        text.push_str(&format!(
            "    and {more} more fields; --output json has them all\n"
        ));
    }
    for (manager, fields) in &change.taken {
        let said = format!(
            "takes over {} from {}",
            plain_line(&fields.join(", ")),
            plain_line(manager)
        );
        text.push_str(&wrapped(&said, width, 4, 6));
    }
    if let Some(note) = &change.note {
        text.push_str(&wrapped(&format!("note: {}", plain_line(note)), width, 4, 6));
    }
    text
}

fn drift(plan: &Plan, width: u16) -> String {
    if plan.drift.is_empty() {
        return String::new();
    }
    let what = match plan.on_drift {
        OnDrift::Stop => "others changed what Sluice left; the rollout would not start:",
        OnDrift::Overwrite => "others changed what Sluice left; the rollout would write over it:",
    };
    let mut text = wrapped(&what.red().to_string(), width, 0, 2);
    for one in &plan.drift {
        text.push_str(&wrapped(&format!("- {}", plain_line(one)), width, 2, 4));
    }
    text + "\n"
}

/// What else belongs to the promotion, each with its title.
fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let list = |names: &[String]| plain_line(&names.join(", "));
    let lists = [
        ("hooks", &plan.hooks),
        ("before", &plan.before),
        ("verify", &plan.verify),
    ];
    let mut facts: Vec<_> = lists
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(title, names)| (title, list(names)))
        .collect();
    if let Some(approval) = &plan.approval {
        let names: Vec<&str> = approval.approvers.iter().map(PersonName::as_str).collect();
        facts.push(("approval", format!("{} of {}", approval.quorum, names.join(", "))));
    }
    facts.push(("rollout", format!("within {}", plan.timeout)));
    let least = plan
        .rollback_at_least
        .map(|least| format!("; at least {least}, by minReadySeconds"))
        .unwrap_or_default();
    facts.push((
        "rollback",
        format!("within {} at worst{least}", plan.rollback_within),
    ));
    facts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::{digest, env, fits, name, person};
    use serde_json::{Value, json};
    use sluice_domain::api::PlanApproval;
    use sluice_domain::difference::{FieldChange, SECRET};
    use sluice_domain::ids::ReleaseNumber;
    use sluice_domain::pipeline::Seconds;

    fn difference(change: Change, kind: &str, name: &str) -> Difference {
        Difference {
            kind: kind.into(),
            name: name.into(),
            namespace: Some("production".into()),
            change,
            fields: vec![],
            managers: vec![],
            taken: Default::default(),
            note: None,
        }
    }

    fn field(path: &str, from: Option<Value>, to: Option<Value>) -> FieldChange {
        FieldChange {
            path: path.into(),
            from,
            to,
        }
    }

    fn bare() -> Plan {
        Plan {
            service: name("mc-api"),
            environment: env("production"),
            release: ReleaseNumber(42),
            digest: digest(),
            replaces: None,
            revision: None,
            changes: vec![],
            drift: vec![],
            on_drift: OnDrift::Stop,
            hooks: vec![],
            before: vec![],
            verify: vec![],
            timeout: Seconds(600),
            rollback_within: Seconds(300),
            rollback_at_least: None,
            rollback: None,
            rollback_target: false,
            adoption: vec![],
            steps: vec![],
            gates: vec![],
            approval: None,
        }
    }

    fn full() -> Plan {
        let image = |digit: &str| {
            json!(format!(
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api@sha256:{}",
                digit.repeat(64)
            ))
        };
        let mut api = difference(Change::Change, "Deployment", "api");
        api.fields = vec![
            field("spec.replicas", Some(json!(2)), Some(json!(4))),
            field(
                "spec.template.spec.containers[api].image",
                Some(image("a")),
                Some(image("b")),
            ),
            field(
                "spec.template.spec.containers[api].env[DEBUG]",
                Some(json!({"name": "DEBUG", "value": "1"})),
                None,
            ),
            field(
                "metadata.annotations[note]",
                None,
                Some(json!("two\nlines\u{1b}[31m")),
            ),
        ];
        api.taken = [("kubectl".to_owned(), vec!["spec.replicas".to_owned()])].into();
        let mut secret = difference(Change::Change, "Secret", "api");
        secret.fields = vec![
            field("data.password", Some(json!(SECRET)), Some(json!(SECRET))),
            field("data.token", None, Some(json!(SECRET))),
        ];
        let mut refused = difference(Change::Create, "Paint", &"p".repeat(63));
        refused.note = Some("kind Paint of example.com/v1 is not known to cluster mc-production yet".into());
        let mut many = difference(Change::Change, "ConfigMap", "many");
        many.fields = (0..42)
            .map(|n| field(&format!("data.k{n}"), None, Some(json!(n))))
            .collect();
        Plan {
            replaces: Some(ReleaseNumber(41)),
            revision: Some(7),
            changes: vec![
                api,
                secret,
                refused,
                difference(Change::Delete, "Service", "old"),
                many,
            ],
            drift: vec!["Deployment api has another spec.replicas".into()],
            on_drift: OnDrift::Overwrite,
            hooks: vec!["api-migrate (pre-upgrade)".into()],
            before: vec!["migrate".into()],
            verify: vec!["integration".into(), "load-test".into()],
            rollback_at_least: Some(Seconds(20)),
            gates: vec!["#42 was never verified in staging".into()],
            approval: Some(PlanApproval {
                approvers: vec![person("ana"), person("ben")],
                quorum: 1,
            }),
            ..bare()
        }
    }

    #[test]
    fn what_people_see() {
        insta::assert_snapshot!("plan", fits(&plan_text(&full(), 80), 80));
        insta::assert_snapshot!("plan_bare", fits(&plan_text(&bare(), 80), 80));
    }
}
