//! `before` and `verify`: what is run before a rollout and after it.

use super::people::{self, People};
use super::reading::Reading;
use super::section::{Place, Section, Text};
use super::workload::{dns_label, is_dns_label, manifest_path};
use super::{CheckAction, CheckSpec, FaultKind, Seconds, arn, keys, text};
use crate::ids::PersonName;
use std::collections::BTreeSet;

/// The most checks of a list: each is a row in `status`.
const MOST: usize = 20;
const TIMEOUT: (Seconds, Seconds) = (Seconds(10), Seconds(3_600));
const TIMEOUT_DEFAULT: Seconds = Seconds(300);

const ACTIONS: [&str; 4] = ["job", "lambda", "webhook", "helm_test"];
const ACTION: &str =
    "job = \"jobs/migrate.yaml\", lambda = \"arn:aws:lambda:...\" or webhook = \"https://...\"";
const ACTION_HELM: &str = "job = \"tests/integration.yaml\", lambda = \"arn:aws:lambda:...\", webhook = \"https://...\" \
                           or helm_test = true";
const JOB: &str = "a file with one Job below the repository's root, such as \"jobs/migrate.yaml\"";
const WEBHOOK: &str = "a URL with https, such as \"https://checks.example.com/mc-api\"";
/// RFC 9110 recommends that at least 8,000 are taken; what people write has far fewer.
const LONGEST_URL: usize = 2_000;

/// Which list it is, and whether there is a Helm release that could be tested.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub key: &'static str,
    pub helm_test: bool,
}

/// The checks without faults, and who may answer one.
pub(super) fn read(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    list: List,
    people: &People,
) -> (Vec<CheckSpec>, BTreeSet<PersonName>) {
    let sections = reading.sections(section, list.key);
    if let Some(first_too_many) = sections.get(MOST) {
        let problem = format!("there are {} checks", sections.len());
        let right = format!("at most {MOST} in each list");
        reading.fault(FaultKind::Value, &first_too_many.place(), None, problem, right);
    }
    let (mut checks, mut answering) = (Vec::new(), BTreeSet::new());
    let mut names: Vec<String> = Vec::new();
    for entry in &sections {
        let run = action(reading, entry, list, people);
        if let Some(CheckAction::Webhook { answered_by, .. }) = &run {
            answering.extend(answered_by.iter().cloned());
        }
        let timeout = reading.duration(entry, "timeout", TIMEOUT, TIMEOUT_DEFAULT);
        let name = name(reading, entry, run.as_ref());
        if let Some((name, place)) = &name {
            unique(reading, name, place, &names);
            names.push(name.clone());
        }
        let check = (|| {
            Some(CheckSpec {
                name: name?.0,
                timeout: timeout?,
                run: run?,
            })
        })();
        checks.extend(check);
    }
    (checks, answering)
}

fn unique(reading: &mut Reading<'_>, name: &str, place: &Place, above: &[String]) {
    if above.iter().any(|other| other == name) {
        let problem = "is the name of a check above, too";
        let right = "name = \"...\", another one";
        let found = Some(text::quote(name));
        reading.fault(FaultKind::Conflict, place, found, problem, right);
    }
}

fn action(
    reading: &mut Reading<'_>,
    entry: &Section<'_, '_>,
    list: List,
    people: &People,
) -> Option<CheckAction> {
    reading.keys(entry, &keys::CHECK);
    let right = if list.helm_test { ACTION_HELM } else { ACTION };
    let said: Vec<&str> = ACTIONS.into_iter().filter(|key| entry.has(key)).collect();
    match said.as_slice() {
        [_] => {}
        [] => reading.fault(
            FaultKind::Missing,
            &entry.place(),
            None,
            "nothing says what is run",
            right,
        ),
        [_, second, ..] => {
            let problem = format!("is beside {}, and a check runs one thing", said.first()?);
            reading.fault(FaultKind::Conflict, &entry.place_of(second), None, problem, right);
        }
    }
    // all are read, so that the faults of each are told
    let job = reading.text(entry, "job");
    let job = job.and_then(|text| reading.parsed(&text, JOB, manifest_path));
    let lambda = reading.text(entry, "lambda");
    let lambda = lambda.and_then(|text| reading.parsed(&text, arn::FUNCTION, arn::function));
    let webhook = webhook(reading, entry, people);
    let helm_test = helm_test(reading, entry, list);
    match *said.as_slice() {
        ["job"] => job.map(|file| CheckAction::Job { file }),
        ["lambda"] => lambda.map(|(function, _)| CheckAction::Lambda { function }),
        ["webhook"] => webhook,
        ["helm_test"] => helm_test,
        _ => None,
    }
}

fn webhook(reading: &mut Reading<'_>, entry: &Section<'_, '_>, people: &People) -> Option<CheckAction> {
    let url = reading.text(entry, "webhook");
    let url = url.and_then(|text| reading.parsed_unseen(&text, WEBHOOK, https));
    if entry.has("webhook") && !entry.has("secret") {
        reading.missing(entry, "secret", arn::SECRET);
    }
    for key in ["secret", "answered_by"] {
        if entry.has(key) && !entry.has("webhook") {
            let right = "leave it out, or webhook = \"https://...\"";
            let problem = "is for a webhook";
            reading.fault(FaultKind::Conflict, &entry.place_of(key), None, problem, right);
        }
    }
    let secret = reading.text(entry, "secret");
    let secret = secret.and_then(|text| reading.parsed_unseen(&text, arn::SECRET, arn::secret));
    let answered_by = people::list(reading, entry, "answered_by", people).unwrap_or_default();
    Some(CheckAction::Webhook {
        url: url?,
        secret: secret?,
        answered_by: answered_by.into_iter().map(|(name, _)| name).collect(),
    })
}

/// The URL, if it has https, a host, and nothing that would be shown or sent in clear.
fn https(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("https://").ok_or("is no URL with https")?;
    if text.len() > LONGEST_URL || !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("is no URL");
    }
    if rest.contains('#') {
        return Err("has a fragment, which is never sent");
    }
    let authority = authority(rest);
    if authority.contains('@') {
        return Err("has a user or password, and a pipeline is no place for one");
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_host = host.len() <= 253 && host.to_ascii_lowercase().split('.').all(is_dns_label);
    if is_host && is_port {
        Ok(text.to_owned())
    } else {
        Err("has no host")
    }
}

/// Host and port of what follows `https://`.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?']).next().unwrap_or_default()
}

fn helm_test(reading: &mut Reading<'_>, entry: &Section<'_, '_>, list: List) -> Option<CheckAction> {
    let wanted = reading.flag(entry, "helm_test")?;
    let place = entry.place_of("helm_test");
    if !list.helm_test {
        let problem = "is for `verify` of a helm workload: it tests the release that runs";
        reading.fault(FaultKind::Conflict, &place, None, problem, ACTION);
        return None;
    }
    if !wanted {
        let problem = "is false, so that nothing would be run";
        reading.fault(FaultKind::Value, &place, None, problem, "true, or no such check");
        return None;
    }
    Some(CheckAction::HelmTest)
}

/// What the file says, or what it runs: the file's stem, the function's name, the host.
fn name(
    reading: &mut Reading<'_>,
    entry: &Section<'_, '_>,
    run: Option<&CheckAction>,
) -> Option<(String, Place)> {
    if entry.has("name") {
        let text: Text<'_> = reading.text(entry, "name")?;
        let name = dns_label(reading, &text, "a check")?;
        return Some((name, text.place));
    }
    let run = run?;
    let place = ACTIONS.into_iter().find(|key| entry.has(key));
    let place = place.map_or_else(|| entry.place(), |key| entry.place_of(key));
    let named = label(&named_by(run));
    if named.is_none() {
        let right = "name = \"...\": 1 to 63 lowercase letters, digits and inner hyphens";
        let problem = "gives the check no name";
        reading.fault(FaultKind::Missing, &place, None, problem, right);
    }
    named.map(|name| (name, place))
}

fn named_by(run: &CheckAction) -> String {
    match run {
        CheckAction::Job { file } => {
            let last = file.rsplit('/').next().unwrap_or_default();
            last.rsplit_once('.').map_or(last, |(stem, _)| stem).to_owned()
        }
        CheckAction::Lambda { function } => arn::function(function).map(|(_, name)| name).unwrap_or_default(),
        CheckAction::Webhook { url, .. } => {
            let rest = url.strip_prefix("https://").unwrap_or(url);
            let host = authority(rest).split(':').next();
            host.unwrap_or_default().to_owned()
        }
        CheckAction::HelmTest => "helm-test".to_owned(),
    }
}

/// A DNS label that is near to the text: `Smoke_Test` is `smoke-test`. None where nothing is left.
fn label(text: &str) -> Option<String> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let plain: String = text.chars().map(plain).collect();
    let short: String = plain.trim_matches('-').chars().take(63).collect();
    let label = short.trim_matches('-').to_owned();
    is_dns_label(&label).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_named_by_what_it_runs() {
        let table = [
            ("Smoke_Test", Some("smoke-test")),
            ("checks.example.com", Some("checks-example-com")),
            ("--a--", Some("a")),
            ("__", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(label(text).as_deref(), wanted, "{text}");
        }
        assert_eq!(
            label(&format!("{}-{}", "a".repeat(62), "b")).map(|name| name.len()),
            Some(62)
        );
    }

    #[test]
    fn a_webhook_is_reached_with_https_by_name() {
        let table = [
            ("https://checks.example.com", true),
            ("https://checks.example.com:8443/a/b?c=d@e", true),
            ("https://Checks.Example.com/", true),
            ("http://checks.example.com", false),
            ("https://", false),
            ("https://:8443", false),
            ("https://host:0", false),
            ("https://host:x", false),
            ("https://host:65536", false),
            ("https://user:password@host/", false),
            ("https://host/#top", false),
            ("https://host/a b", false),
            ("https://ho\u{f6}st/", false),
            ("HTTPS://host/", false),
        ];
        for (text, right) in table {
            assert_eq!(https(text).is_ok(), right, "{text}");
        }
        assert!(https(&format!("https://host/{}", "x".repeat(2_000))).is_err());
    }
}
