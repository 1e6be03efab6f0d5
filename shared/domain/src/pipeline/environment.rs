//! `[[environment]]`: one place where the service runs.

use super::people::{self, People};
use super::reading::Reading;
use super::section::{Place, Section, Text};
use super::target::Target;
use super::workload::{Form, dns_label, manifests};
use super::{ApprovalSpec, EnvironmentSpec, FaultKind, Principal, Seconds, arn, keys};
use super::{alarms, delivery, strategies};
use crate::ids::{EnvironmentName, PersonName};
use std::collections::BTreeSet;

/// Limits of `timeout`: shorter than a pod needs to start cannot succeed; longer is no rollout that anybody watches.
const TIMEOUT: (Seconds, Seconds) = (Seconds(10), Seconds(6 * 3_600));
const TIMEOUT_DEFAULT: Seconds = Seconds(600);
/// Limits of `rollback_within`: a pod is given 30 s to stop unless its template says otherwise.
const ROLLBACK_WITHIN: (Seconds, Seconds) = (Seconds(30), LONGEST_ROLLBACK);
pub(crate) const LONGEST_ROLLBACK: Seconds = Seconds(3_600);
const ROLLBACK_WITHIN_DEFAULT: Seconds = Seconds(300);
/// Limits of `expires`. With the longest steps, watch, rollout and rollback after it, an execution stays under the year
/// that Step Functions gives it, with a month left for its turn in the queue and for checks that hold it (Step Functions
/// quotas, "maximum execution time").
const EXPIRES: (Seconds, Seconds) = (Seconds(60), Seconds(300 * 86_400));
const EXPIRES_DEFAULT: Seconds = Seconds(86_400);
const YEAR: u64 = 365 * 86_400;
const _: () = assert!(
    EXPIRES.1.0 + strategies::LONGEST_STEPS.0 + alarms::WATCH.1.0 + TIMEOUT.1.0 + ROLLBACK_WITHIN.1.0
        < YEAR - 30 * 86_400
);

/// What could be read of an environment, also where it has faults: what is checked across environments.
pub(super) struct Read {
    /// None after a fault.
    pub spec: Option<EnvironmentSpec>,
    pub name: Option<(EnvironmentName, Place)>,
    /// What people call it.
    pub label: String,
    pub target: Option<(Target, Place)>,
    pub deciders: BTreeSet<PersonName>,
    pub has_manifests: bool,
    /// Where it says `scale`.
    pub scale: Option<Place>,
}

pub(super) fn read(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    people: &People,
    form: Option<Form>,
) -> Read {
    reading.keys(section, &keys::ENVIRONMENT);
    let name = name(reading, section);
    let cluster = cluster(reading, section);
    let namespace = reading.required_text(section, "namespace", "a namespace of the cluster");
    let namespace = namespace.and_then(|text| dns_label(reading, &text, "a namespace"));
    let region = reading
        .text(section, "region")
        .and_then(|text| region(reading, &text));
    let role = reading
        .text(section, "role")
        .and_then(|text| role(reading, &text, region.as_deref()));
    let helm_role = reading
        .text(section, "helm_role")
        .and_then(|text| self::role(reading, &text, region.as_deref()));
    delivery::check_helm_role(reading, section, form, role.as_ref(), helm_role.as_ref());
    let alarms = alarms::read(reading, section);
    let strategies::Read { strategy, answering } = strategies::read(reading, section, people, &alarms);
    let manifests = manifests(reading, section);
    let timeout = reading.duration(section, "timeout", TIMEOUT, TIMEOUT_DEFAULT);
    let rollback = reading.duration(
        section,
        "rollback_within",
        ROLLBACK_WITHIN,
        ROLLBACK_WITHIN_DEFAULT,
    );
    if !section.value("strategy").is_some_and(|value| value.is_table()) {
        check_budget(reading, section, timeout, rollback);
    }
    let operators = people::list(reading, section, "operators", people);
    let operators: Option<Vec<_>> = operators.map(|list| list.into_iter().map(|(name, _)| name).collect());
    let approval = reading.section(section, "approval");
    let approval = approval.map(|section| approval_of(reading, &section, people, operators.as_deref()));
    let delivery = delivery::read(reading, section, form, people);
    let approvers = approval.iter().flatten().flat_map(|approval| &approval.approvers);
    let deciders = approvers
        .chain(operators.iter().flatten())
        .chain(&delivery.answering)
        .chain(&answering);
    let deciders = deciders.cloned().collect();
    let target = cluster
        .clone()
        .zip(namespace.clone())
        .map(|(cluster, namespace)| {
            let account = role.as_ref().map(|(_, account)| account.clone());
            (
                Target {
                    account,
                    region: region.clone(),
                    cluster,
                    namespace,
                },
                section.place_of("namespace"),
            )
        });
    Read {
        label: name
            .as_ref()
            .map_or_else(|| section.place().key, |(name, _)| name.to_string()),
        deciders,
        has_manifests: section.lists("manifests"),
        scale: section.has("scale").then(|| section.place_of("scale")),
        spec: (|| {
            Some(EnvironmentSpec {
                name: name.as_ref()?.0.clone(),
                cluster: cluster?,
                namespace: namespace?,
                region,
                role: role.map(|(arn, _)| arn),
                manifests,
                strategy: strategy?,
                timeout: timeout?,
                rollback_within: rollback?,
                approval: approval.flatten(),
                operators,
                values: delivery.values,
                secret_values: delivery.secret_values,
                helm_role: helm_role.map(|(arn, _)| arn),
                scale: delivery.scale,
                before: delivery.before,
                verify: delivery.verify,
                hold_for: delivery.hold_for?,
                on_drift: delivery.on_drift?,
                alarms: alarms.names,
                watch: alarms.watch,
            })
        })(),
        name,
        target,
    }
}

fn name(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<(EnvironmentName, Place)> {
    let text = reading.required_text(section, "name", "the environment's name, such as \"staging\"")?;
    match EnvironmentName::parse(text.text) {
        Ok(name) => Some((name, text.place)),
        Err(error) => {
            reading.fault(
                FaultKind::Value,
                &text.place,
                text.quoted(),
                "is no name of an environment",
                error.right,
            );
            None
        }
    }
}

/// Amazon EKS API reference, CreateCluster, `name`: 1 to 100, `^[0-9A-Za-z][A-Za-z0-9\-_]*`.
fn cluster(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<String> {
    let text = reading.required_text(section, "cluster", "the EKS cluster's name")?;
    let is_name = (1..=100).contains(&text.text.len())
        && text.text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_name {
        return Some(text.text.to_owned());
    }
    let right =
        "the name alone, without ARN: 1 to 100 letters, digits, `-` and `_`, starting with a letter or digit";
    reading.fault(
        FaultKind::Value,
        &text.place,
        text.quoted(),
        "is no name of an EKS cluster",
        right,
    );
    None
}

fn region(reading: &mut Reading<'_>, text: &Text<'_>) -> Option<String> {
    if arn::is_region(text.text) {
        return Some(text.text.to_owned());
    }
    reading.fault(
        FaultKind::Value,
        &text.place,
        text.quoted(),
        "is no region",
        "a region's code, such as \"eu-west-1\"",
    );
    None
}

/// The partition that a region is in (AWS General Reference, "Amazon Resource Names": aws, aws-cn, aws-us-gov).
fn partition_of(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The role's ARN and its account.
fn role(reading: &mut Reading<'_>, text: &Text<'_>, region: Option<&str>) -> Option<(String, String)> {
    let right = "a role's ARN, such as \"arn:aws:iam::123456789012:role/sluice-production\"";
    let role = reading.parsed(text, right, Principal::parse)?;
    let Some((partition, account)) = role.role_home() else {
        reading.fault(
            FaultKind::Value,
            &text.place,
            text.quoted(),
            "is not the ARN of one role",
            right,
        );
        return None;
    };
    if let Some(region) = region.filter(|region| partition_of(region) != partition) {
        let problem = format!("is of the partition {partition}, and the region {region} is not");
        let right = format!("a role in the partition {}", partition_of(region));
        reading.fault(FaultKind::Conflict, &text.place, text.quoted(), problem, right);
    }
    Some((text.text.to_owned(), account.to_owned()))
}

/// A rolling restore is the same change as the rollout that it undoes, pod by pod, with images that are on the nodes.
fn check_budget(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    timeout: Option<Seconds>,
    rollback: Option<Seconds>,
) {
    let Some((timeout, rollback)) = timeout.zip(rollback) else {
        return;
    };
    let place = section.place_of("rollback_within");
    if section.has("rollback_within") && rollback > timeout {
        let problem = format!("{rollback} is longer than the rollout's own timeout of {timeout}");
        let right = "at most the timeout: a rollback changes the same pods as the rollout";
        reading.fault(FaultKind::Warning, &place, None, problem, right);
    }
    if timeout.get() / 4 > rollback.get() {
        let problem = format!("a rollout may take {timeout}, but the rollback of one only {rollback}");
        let right = "at least a quarter of the timeout: a rolling restore goes pod by pod like the rollout, and is \
                     called stuck where it takes longer";
        reading.fault(FaultKind::Warning, &place, None, problem, right);
    }
}

fn approval_of(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    people: &People,
    operators: Option<&[PersonName]>,
) -> Option<ApprovalSpec> {
    reading.keys(section, &keys::APPROVAL);
    if !section.has("approvers") {
        reading.missing(
            section,
            "approvers",
            "the people who may agree, such as [\"ana\", \"ben\"]",
        );
    }
    let approvers = people::list(reading, section, "approvers", people)?;
    let approvers: Vec<PersonName> = approvers.into_iter().map(|(name, _)| name).collect();
    let quorum = if section.has("quorum") {
        reading.count(section, "quorum")
    } else {
        Some(1)
    };
    let four_eyes = if section.has("four_eyes") {
        reading.flag(section, "four_eyes")
    } else {
        Some(false)
    };
    let expires = reading.duration(section, "expires", EXPIRES, EXPIRES_DEFAULT);
    let approval = ApprovalSpec {
        approvers,
        quorum: quorum?,
        four_eyes: four_eyes?,
        expires: expires?,
    };
    if !approval.approvers.is_empty() {
        check_quorum(reading, section, &approval, operators);
    }
    Some(approval)
}

/// With four eyes, whoever asked does not count: where an approver may ask, one more is needed.
fn check_quorum(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    approval: &ApprovalSpec,
    operators: Option<&[PersonName]>,
) {
    let there_are = u32::try_from(approval.approvers.len()).unwrap_or(u32::MAX);
    let may_ask = |name: &PersonName| operators.is_none_or(|operators| operators.contains(name));
    let left_out = u32::from(approval.four_eyes && approval.approvers.iter().any(may_ask));
    if approval.quorum > there_are {
        let problem = format!(
            "can never be reached by {there_are} approver{}",
            if there_are == 1 { "" } else { "s" }
        );
        let (place, found) = (section.place_of("quorum"), Some(approval.quorum.to_string()));
        reading.fault(
            FaultKind::Conflict,
            &place,
            found,
            problem,
            format!("from 1 to {there_are}, or more approvers"),
        );
    } else if approval.quorum.saturating_add(left_out) > there_are {
        let problem = format!(
            "an approver who asks for a promotion does not count, and then the quorum of {} cannot be reached",
            approval.quorum
        );
        let right = format!(
            "at least {} approvers, or operators who are no approvers",
            approval.quorum + 1
        );
        reading.fault(
            FaultKind::Conflict,
            &section.place_of("four_eyes"),
            None,
            problem,
            right,
        );
    }
}
