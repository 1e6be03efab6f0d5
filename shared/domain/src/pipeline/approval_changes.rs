//! Which approvals a new pipeline version changes, and who may publish it: only those whose say it would change.

use super::target::Target;
use super::{Caller, EnvironmentSpec, Person, Pipeline, Seconds};
use crate::ids::{EnvironmentName, PersonName};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What protects an environment: who agrees, who operates, as whom they are known, and which place it is.
///
/// The place belongs to it: else one version could move `production` to an empty namespace, and give its place to a new
/// environment that asks nobody.
#[derive(PartialEq)]
struct Guard<'p> {
    approval: Option<(BTreeSet<&'p PersonName>, u32, bool, Seconds)>,
    operators: Option<BTreeSet<&'p PersonName>>,
    principals: BTreeMap<&'p PersonName, Option<String>>,
    place: (&'p str, &'p str, Option<&'p str>, Option<&'p str>),
    /// As whom helm writes there: another role may have other rights.
    helm_role: Option<&'p str>,
}

impl<'p> Guard<'p> {
    fn of(pipeline: &'p Pipeline, spec: &'p EnvironmentSpec) -> Self {
        let principal = |name: &'p PersonName| {
            let iam = pipeline
                .people
                .get(name)
                .and_then(|Person { iam, .. }| iam.as_ref());
            (name, iam.map(ToString::to_string))
        };
        Self {
            approval: spec.approval.as_ref().map(|approval| {
                (
                    approval.approvers.iter().collect(),
                    approval.quorum,
                    approval.four_eyes,
                    approval.expires,
                )
            }),
            operators: spec
                .operators
                .as_ref()
                .map(|operators| operators.iter().collect()),
            principals: deciders(spec).map(principal).collect(),
            place: (
                &spec.cluster,
                &spec.namespace,
                spec.region.as_deref(),
                spec.role.as_deref(),
            ),
            helm_role: spec.helm_role.as_deref(),
        }
    }
}

fn deciders(spec: &EnvironmentSpec) -> impl Iterator<Item = &PersonName> {
    let approvers = spec.approval.iter().flat_map(|approval| &approval.approvers);
    approvers.chain(spec.operators.iter().flatten())
}

/// The environments whose protection the new version changes: anything of their approval or operators, the principal of
/// anyone who decides there, their cluster, namespace, region or roles, their name, or that they are there at all; and the
/// pauses of a canary that it takes away.
///
/// Also where another environment would come into its place, which would be a way around it.
/// An environment that asks nobody so far is not among them: adding an approval needs none.
pub fn approval_changes(old: &Pipeline, new: &Pipeline) -> Vec<EnvironmentName> {
    let changed = |spec: &&EnvironmentSpec| {
        let now = new.environment(&spec.name).map(|now| Guard::of(new, now));
        let guarded = deciders(spec).next().is_some();
        let unguarded = now != Some(Guard::of(old, spec)) || is_bypassed(spec, old, new);
        guarded && (unguarded || asks_less(spec, new))
    };
    old.environments
        .iter()
        .filter(changed)
        .map(|spec| spec.name.clone())
        .collect()
}

/// Whether a person was awaited at a weight at which none is in the new version. More pauses, and longer ones, take
/// nothing from anybody. Alarms, bakes and weights are measures and not decisions: they are not guarded.
fn asks_less(spec: &EnvironmentSpec, new: &Pipeline) -> bool {
    let now: BTreeSet<u32> = new
        .environment(&spec.name)
        .map(|now| now.strategy.pauses().collect())
        .unwrap_or_default();
    spec.strategy.pauses().any(|weight| !now.contains(&weight))
}

/// Whether the new version brings another environment to where this one could be.
fn is_bypassed(spec: &EnvironmentSpec, old: &Pipeline, new: &Pipeline) -> bool {
    let target = Target::of(spec);
    let comes_there = |other: &EnvironmentSpec| {
        let place = Target::of(other);
        let was_there = old
            .environment(&other.name)
            .is_some_and(|before| Target::of(before) == place);
        other.name != spec.name && place.could_be(&target) && !was_there
    };
    new.environments.iter().any(comes_there)
}

/// Why a caller may not publish a version: each environment whose protection it changes and who may change that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplyDenied {
    /// Who wanted to, as the version in force knows them.
    pub caller: Caller,
    /// Only those where the caller decides nothing.
    pub environments: BTreeMap<EnvironmentName, BTreeSet<PersonName>>,
}

impl std::error::Error for ApplyDenied {}

impl fmt::Display for ApplyDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} may not apply this version: it changes who decides",
            self.caller
        )?;
        for (place, (environment, people)) in self.environments.iter().enumerate() {
            let people: Vec<&str> = people.iter().map(PersonName::as_str).collect();
            let and = if place > 0 { ", and" } else { "" };
            write!(
                f,
                "{and} in {environment}, which only {} may change",
                people.join(", ")
            )?;
        }
        write!(f, ". Ask them to run `sluice apply`, or leave that part as it is")
    }
}

/// Whether the caller may publish the new version in place of the old one: they must be an approver, by the old
/// version, of every environment whose protection it changes (an operator, where it lists only operators).
///
/// A caller is looked up in the old version: one who makes themselves an approver in the new one is none yet.
pub fn may_apply(
    old: &Pipeline,
    new: &Pipeline,
    caller_arn: &str,
    own_account: &str,
) -> Result<(), ApplyDenied> {
    let caller = Caller::of(old, caller_arn, own_account);
    let guardians = |name: EnvironmentName| {
        let people: BTreeSet<PersonName> = old.environment(&name).map(guardians_of).unwrap_or_default();
        (name, people)
    };
    let may = |people: &BTreeSet<PersonName>| {
        caller
            .person
            .as_ref()
            .is_some_and(|person| people.contains(person))
    };
    let changed = approval_changes(old, new).into_iter().map(guardians);
    let environments: BTreeMap<_, _> = changed.filter(|(_, people)| !may(people)).collect();
    if environments.is_empty() {
        Ok(())
    } else {
        Err(ApplyDenied { caller, environments })
    }
}

fn guardians_of(spec: &EnvironmentSpec) -> BTreeSet<PersonName> {
    match (&spec.approval, &spec.operators) {
        (Some(approval), _) => approval.approvers.iter().cloned().collect(),
        (None, Some(operators)) => operators.iter().cloned().collect(),
        (None, None) => BTreeSet::new(),
    }
}
