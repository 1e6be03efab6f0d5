//! What a load balancer itself says of an Ingress's action.
//!
//! The Ingress's own status says only that there was once a load balancer. So what counts is the load balancer's rules, and the
//! health of its targets. Sources: AWS Load Balancer Controller, `pkg/deploy/tracking` (the tag `ingress.k8s.aws/resource` of a
//! target group is `namespace/ingress-service:port`) and "Pod readiness gate" (health is that of pods with target type `ip`
//! alone); Elastic Load Balancing API, TargetHealth (states; a target of a group that no rule names is `unused`).

use super::alb_ingress::{Action, meets};
use super::{Evidence, RouterVerdict, Routing, Shares, share};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The tag by which a target group says for which Ingress, Service and port the controller made it.
pub const RESOURCE_TAG: &str = "ingress.k8s.aws/resource";

/// A load balancer as its API tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its name.
    pub name: String,
    /// The rules of all listeners that forward, their default rules included.
    pub rules: Vec<ListenerRule>,
    /// The target groups that these name.
    pub target_groups: Vec<TargetGroup>,
}

/// A rule of a listener that forwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRule {
    /// For messages: "port 443, priority 1".
    pub name: String,
    /// The weight of each target group, by ARN; 1 for the only one, where it has none.
    pub weights: BTreeMap<String, u64>,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Its tag `ingress.k8s.aws/resource`: `production/web-api-blue:80`.
    pub resource: Option<String>,
    /// `ip`, `instance` or another.
    pub target_type: String,
    /// Its targets.
    pub targets: Vec<Target>,
}

/// A target, and its health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its address and port.
    pub id: String,
    /// `healthy`, `initial`, `unhealthy`, `draining`, `unused`, ...
    pub state: String,
    /// Why, where it says so: `Target.ResponseCodeMismatch`.
    pub reason: Option<String>,
}

/// Accepted only where every rule of the action has the annotation's weights, and every target group with a weight has as many
/// healthy targets as its Service has ready endpoints, and at least one.
pub(super) fn standing(
    routing: &Routing<'_>,
    ingress: &str,
    action: &str,
    object: &Value,
    evidence: &Evidence,
) -> RouterVerdict {
    let read = Action::read(routing, ingress, action, object);
    let listed = read.and_then(|read| read.list().map(<[Value]>::to_vec).map(|list| (read, list)));
    let wanted = meets(routing, ingress, action, object);
    let (read, list, wanted) = match (listed, wanted) {
        (Ok((read, list)), Ok(wanted)) => (read, list, wanted),
        (Err(fault), _) | (_, Err(fault)) => return RouterVerdict::Refused(fault.to_string()),
    };
    let Some(load_balancer) = &evidence.load_balancer else {
        return RouterVerdict::Pending(format!(
            "{} has no load balancer that could be read",
            routing.object()
        ));
    };
    let groups = match read.groups(&list, load_balancer) {
        Ok(groups) => groups,
        Err(missing) => return missing.about(&load_balancer.name),
    };
    let rules = read.rules(&groups, &wanted, load_balancer, object);
    let health = groups.iter().filter(|(name, _)| wanted.contains_key(*name));
    let health = health.map(|(name, group)| healthy(name, group, evidence));
    RouterVerdict::all(rules.into_iter().chain(health)).about(&load_balancer.name)
}

impl Action<'_> {
    /// The target group of each governed Service that the action names.
    fn groups<'l>(
        &self,
        list: &[Value],
        load_balancer: &'l LoadBalancer,
    ) -> Result<BTreeMap<String, &'l TargetGroup>, RouterVerdict> {
        let mut found = BTreeMap::new();
        for entry in list {
            let (service, is_ours) = self.name_of(entry);
            if !is_ours {
                continue;
            }
            let port = match entry.get("servicePort") {
                Some(Value::String(port)) => port.clone(),
                port => port.map(Value::to_string).unwrap_or_default(),
            };
            let wanted = format!("{}/{}-{service}:{port}", self.namespace, self.ingress);
            let mut groups = load_balancer.target_groups.iter();
            match groups.find(|group| group.resource.as_ref() == Some(&wanted)) {
                Some(group) => found.insert(service, group),
                None => {
                    let reason =
                        format!("no rule has a target group with the tag {RESOURCE_TAG} {wanted} yet");
                    return Err(RouterVerdict::Pending(reason));
                }
            };
        }
        Ok(found)
    }

    /// What each rule that names one of these target groups says, and whether there are enough of them.
    fn rules(
        &self,
        groups: &BTreeMap<String, &TargetGroup>,
        wanted: &Shares,
        load_balancer: &LoadBalancer,
        object: &Value,
    ) -> Vec<RouterVerdict> {
        let root = groups
            .get(&self.routing.services.root)
            .map(|group| group.arn.as_str());
        let is_direct = |rule: &ListenerRule| {
            let only = rule.weights.len() == 1 && rule.weights.keys().next().map(String::as_str) == root;
            only && self.has_direct_path(object)
        };
        let rules = load_balancer.rules.iter();
        let rules = rules.filter(|rule| groups.values().any(|group| rule.weights.contains_key(&group.arn)));
        let compared = rules.map(|rule| (is_direct(rule), compared(rule, groups, wanted)));
        // What leads straight to the root is another path's, unless it says what the action says.
        let counted = compared.filter(|(direct, verdict)| !direct || *verdict == RouterVerdict::Accepted);
        let mut verdicts: Vec<_> = counted.map(|(_, verdict)| verdict).collect();
        let paths = self.paths(object).max(1);
        if verdicts.len() < paths {
            let count = verdicts.len();
            verdicts.push(RouterVerdict::Pending(format!(
                "{count} of at least {paths} rules are of action {}",
                self.action
            )));
        }
        verdicts
    }
}

fn compared(rule: &ListenerRule, groups: &BTreeMap<String, &TargetGroup>, wanted: &Shares) -> RouterVerdict {
    let name = |arn: &String| {
        let known = groups.iter().find(|(_, group)| group.arn == *arn);
        known.map_or_else(|| arn.clone(), |(name, _)| name.clone())
    };
    let weights = rule.weights.iter().map(|(arn, weight)| (name(arn), *weight));
    let found = share::percent(&weights.collect()).unwrap_or_default();
    if found == *wanted {
        return RouterVerdict::Accepted;
    }
    let say = |shares: &Shares| {
        let each = shares.iter().map(|(name, share)| format!("{name} {share} %"));
        each.collect::<Vec<_>>().join(", ")
    };
    let (found, wanted) = (say(&found), say(wanted));
    RouterVerdict::Pending(format!("the rule of {} has {found}, not {wanted}", rule.name))
}

fn healthy(service: &str, group: &TargetGroup, evidence: &Evidence) -> RouterVerdict {
    if group.target_type != "ip" {
        return RouterVerdict::Refused(format!(
            "the target group of Service {service} has targets of type {}: set alb.ingress.kubernetes.io/target-type to ip, so \
             that its health is that of the track's pods",
            group.target_type
        ));
    }
    let wanted = evidence
        .endpoints
        .get(service)
        .map_or(0, |ready| ready.len())
        .max(1);
    let healthy = group
        .targets
        .iter()
        .filter(|target| target.state == "healthy")
        .count();
    if healthy >= wanted {
        return RouterVerdict::Accepted;
    }
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for target in group.targets.iter().filter(|target| target.state != "healthy") {
        let reason = target
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        *states.entry(format!("{}{reason}", target.state)).or_default() += 1;
    }
    let states: Vec<_> = states
        .into_iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let others = if states.is_empty() {
        "no others".to_owned()
    } else {
        states.join(", ")
    };
    RouterVerdict::Pending(format!(
        "{healthy} of {wanted} targets of Service {service} are healthy ({others})"
    ))
}
