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
use sluice_domain::budget::Budget;
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
    text.push_str(&sentences(
        "what becomes of what is there:",
        &plan.adoption,
        width,
    ));
    text.push_str(&sentences("then:", &plan.steps, width));
    for (title, what) in facts(plan) {
        text.push_str(&wrapped(&format!("{title:<10}{what}"), width, 0, 10));
    }
    text.push_str(&way_back(plan, width));
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

/// A title and a line for each sentence; nothing where there is none.
fn sentences(title: &str, sentences: &[String], width: u16) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", title.cyan());
    for one in sentences {
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
    facts.push(("rollback", limit(plan)));
    facts
}

/// `within 5m; nothing runs here yet that it would bring back`
fn limit(plan: &Plan) -> String {
    let least = plan
        .rollback_at_least
        .map(|least| format!("; at least {least}, by minReadySeconds"))
        .unwrap_or_default();
    let target = match plan.rollback_target || plan.replaces.is_some() {
        true => "",
        false => "; this is the first release here: there is nothing yet that it would bring back",
    };
    format!("within {}{least}{target}", plan.rollback_within)
}

/// How long a rollback takes while the old track is warm, and at worst, part by part.
fn way_back(plan: &Plan, width: u16) -> String {
    let Some(budgets) = plan.rollback.as_ref().filter(|_| plan.rollback_target) else {
        return String::new();
    };
    let warm = budgets.warm.as_ref();
    let warm = warm.map(|budget| budget_text("while the old track is warm", budget, width));
    let title = match warm {
        Some(_) => "after that, with every pod made anew",
        None => "every pod made anew",
    };
    let worst = budget_text(title, &budgets.worst, width);
    let limit = plan.rollback_within;
    let doubt = || {
        let doubt = budgets.doubt(limit)?;
        Some(plain_line(&doubt).yellow().to_string())
    };
    let over = budgets
        .refusal(limit)
        .map(|over| plain_line(&over).red().to_string());
    let over = over.or_else(doubt);
    let over = over.map(|over| wrapped(&over, width, 2, 4));
    warm.unwrap_or_default() + &worst + &over.unwrap_or_default()
}

/// A line for the whole, and one for each part.
fn budget_text(title: &str, budget: &Budget, width: u16) -> String {
    let mut text = wrapped(&format!("{title}: at most {}", budget.seconds), width, 2, 4);
    for part in &budget.parts {
        let seconds = part.seconds.to_string();
        text.push_str(&wrapped(
            &format!("{seconds:<7}{}", plain_line(&part.what)),
            width,
            4,
            11,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::{digest, env, fits, name, person};
    use serde_json::{Value, json};
    use sluice_domain::api::PlanApproval;
    use sluice_domain::budget::{Budgets, Known, Pods, Ready, RouterKind, Way};
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

    /// A first promotion on tracks beside a workload that is there, whose pods by their probes may take too long.
    fn on_tracks() -> Plan {
        let pods = |ready| Pods {
            name: "mc-api".into(),
            replicas: 8,
            ready,
            settled: Seconds(0),
            max_surge: 1,
            max_unavailable: 0,
            grace: Seconds(30),
        };
        let known = |way, ready| Known {
            way,
            pods: vec![pods(ready)],
            accepted: None,
            deregistration: Seconds(0),
        };
        let (router, ready) = (RouterKind::HttpRoute, Ready::Probes(Seconds(320)));
        let step = "step 1 of 2: 1 of 8 pods of mc-api-blue are made ready, then 5 % of the traffic for 5m, at \
                    whose end 5xx, p99 must be in order";
        Plan {
            rollback: Some(Budgets {
                warm: Some(Budget::of(&known(Way::Warm(router), ready))),
                worst: Budget::of(&known(Way::Cold(router), ready)),
                sure: Budget::of(&known(Way::Cold(router), Ready::AtOnce)),
            }),
            rollback_target: true,
            adoption: vec![
                "Deployment mc-api is copied to mc-api-blue, whose pods carry app=mc-api-blue, \
                 sluice.dev/track=blue: no selector that is there now matches them"
                    .into(),
                "Service mc-api-blue selects\u{1b}[31m the copy".into(),
            ],
            steps: vec![
                step.into(),
                "step 2 of 2: all 8 pods of mc-api-blue are made ready, then all of the traffic".into(),
            ],
            ..bare()
        }
    }

    #[test]
    fn what_people_see_of_tracks_and_of_the_way_back() {
        insta::assert_snapshot!("plan_tracks", fits(&plan_text(&on_tracks(), 80), 80));
        let mut seen = on_tracks();
        (seen.adoption, seen.steps) = (vec![], vec![]);
        let known = Known {
            way: Way::Rolling,
            pods: vec![Pods {
                name: "mc-api".into(),
                replicas: 20,
                ready: Ready::Seen {
                    usual: Seconds(9),
                    slowest: Seconds(40),
                },
                settled: Seconds(0),
                max_surge: 1,
                max_unavailable: 0,
                grace: Seconds(30),
            }],
            accepted: None,
            deregistration: Seconds(0),
        };
        seen.rollback = Some(Budgets {
            warm: None,
            worst: Budget::of(&known),
            sure: Budget::of(&known),
        });
        insta::assert_snapshot!("plan_rolling", fits(&plan_text(&seen, 80), 80));
    }

    #[test]
    fn programs_are_told_all_of_it() {
        let told = serde_json::to_value(Answer::Plan(Box::new(on_tracks()))).unwrap();
        let at = |pointer| told.pointer(pointer).cloned();
        assert_eq!(at("/rollback/warm/seconds"), Some(json!(12)));
        assert_eq!(at("/rollback/worst/seconds"), Some(json!(332)));
        assert_eq!(at("/rollback_target"), Some(json!(true)));
        assert_eq!(
            at("/steps").and_then(|steps| steps.as_array().map(Vec::len)),
            Some(2)
        );
        assert_eq!(
            at("/adoption").and_then(|all| all.as_array().map(Vec::len)),
            Some(2)
        );
    }

    #[test]
    fn what_people_see() {
        insta::assert_snapshot!("plan", fits(&plan_text(&full(), 80), 80));
        insta::assert_snapshot!("plan_bare", fits(&plan_text(&bare(), 80), 80));
    }
}
