//! Answers of Elastic Load Balancing in the domain's words.

use crate::error::LoadBalancersError;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, Rule, TagDescription, TargetGroupTuple, TargetHealthDescription,
};
use sluice_domain::router::{ListenerRule, RESOURCE_TAG, Target};
use std::collections::BTreeMap;

/// The tag by which everything says of which cluster it is (AWS Load Balancer Controller, `pkg/deploy/tracking`).
const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";

/// A rule that forwards; none for one that redirects or answers itself.
pub(crate) fn rule_of(port: i32, rule: &Rule) -> Result<Option<ListenerRule>, LoadBalancersError> {
    let mut weights = BTreeMap::new();
    for action in rule.actions() {
        for (group, weight) in targets_of(action)? {
            *weights.entry(group).or_default() += weight;
        }
    }
    let priority = rule.priority().unwrap_or("unknown");
    Ok((!weights.is_empty()).then(|| ListenerRule {
        name: format!("port {port}, priority {priority}"),
        weights,
    }))
}

/// `ForwardConfig` says everything, and the action's own target group only where there is one (API_Action). Of one target group
/// the weight does not matter.
fn targets_of(action: &Action) -> Result<Vec<(String, u64)>, LoadBalancersError> {
    let malformed = |field| LoadBalancersError::Malformed {
        action: "DescribeRules",
        field,
    };
    let groups = action
        .forward_config()
        .map(|forward| forward.target_groups())
        .unwrap_or_default();
    if groups.is_empty() {
        return match (action.target_group_arn(), action.r#type()) {
            (Some(arn), _) => Ok(vec![(arn.to_owned(), 1)]),
            (None, Some(ActionTypeEnum::Forward)) => Err(malformed("the target groups of a forward action")),
            (None, _) => Ok(vec![]),
        };
    }
    let is_alone = groups.len() == 1;
    let read = |group: &TargetGroupTuple| {
        let arn = group
            .target_group_arn()
            .ok_or_else(|| malformed("TargetGroupArn"))?;
        let weight = match group.weight() {
            _ if is_alone => 1,
            Some(weight) => u64::try_from(weight).map_err(|_| malformed("a weight of 0 or more"))?,
            None => return Err(malformed("Weight")),
        };
        Ok((arn.to_owned(), weight))
    };
    groups.iter().map(read).collect()
}

/// Its tag `ingress.k8s.aws/resource`, where it is of this cluster.
pub(crate) fn resource_of(cluster: &str, tags: &TagDescription) -> Option<(String, String)> {
    let value = |key: &str| {
        tags.tags()
            .iter()
            .find(|tag| tag.key() == Some(key))
            .and_then(|tag| tag.value())
    };
    if value(CLUSTER_TAG) != Some(cluster) {
        return None;
    }
    Some((tags.resource_arn()?.to_owned(), value(RESOURCE_TAG)?.to_owned()))
}

/// A target's health; what is not said is not healthy.
pub(crate) fn target_of(description: &TargetHealthDescription) -> Target {
    let target = description.target();
    let health = description.target_health();
    let id = target.and_then(|target| target.id()).unwrap_or("unknown");
    let port = target.and_then(|target| target.port());
    Target {
        id: port.map_or_else(|| id.to_owned(), |port| format!("{id}:{port}")),
        state: health
            .and_then(|health| health.state())
            .map_or_else(|| "unknown".to_owned(), |state| state.as_str().to_owned()),
        reason: health
            .and_then(|health| health.reason())
            .map(|reason| reason.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_sdk_elasticloadbalancingv2::types::{
        ForwardActionConfig, Tag, TargetDescription, TargetHealth, TargetHealthStateEnum,
    };

    fn tuple(arn: &str, weight: Option<i32>) -> TargetGroupTuple {
        TargetGroupTuple::builder()
            .target_group_arn(arn)
            .set_weight(weight)
            .build()
    }

    fn forward(groups: Vec<TargetGroupTuple>) -> Action {
        let config = ForwardActionConfig::builder()
            .set_target_groups(Some(groups))
            .build();
        Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .forward_config(config)
            .build()
    }

    fn read(action: Action) -> Result<Option<Vec<(String, u64)>>, String> {
        let rule = Rule::builder().priority("7").actions(action).build();
        match rule_of(443, &rule) {
            Ok(rule) => Ok(rule.map(|rule| {
                assert_eq!(rule.name, "port 443, priority 7");
                rule.weights.into_iter().collect()
            })),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_rule_says_where_it_forwards() {
        let plain = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn("a")
            .build();
        let redirect = Action::builder().r#type(ActionTypeEnum::Redirect).build();
        let several = vec![tuple("a", Some(0)), tuple("b", Some(95))];
        let one = |arn: &str, weight| vec![(arn.to_owned(), weight)];
        for (action, wanted) in [
            (plain, Ok(Some(one("a", 1)))),
            (redirect, Ok(None)),
            (
                Action::builder().r#type(ActionTypeEnum::Forward).build(),
                Err("Elastic Load Balancing answered DescribeRules without the target groups of a forward action".to_owned()),
            ),
            (forward(vec![tuple("a", None)]), Ok(Some(one("a", 1)))),
            (forward(vec![tuple("a", Some(0))]), Ok(Some(one("a", 1)))),
            (
                forward(several),
                Ok(Some(vec![("a".to_owned(), 0), ("b".to_owned(), 95)])),
            ),
            (
                forward(vec![tuple("a", Some(1)), tuple("b", None)]),
                Err("Elastic Load Balancing answered DescribeRules without Weight".to_owned()),
            ),
            (
                forward(vec![TargetGroupTuple::builder().weight(1).build()]),
                Err("Elastic Load Balancing answered DescribeRules without TargetGroupArn".to_owned()),
            ),
        ] {
            assert_eq!(read(action), wanted);
        }
    }

    #[test]
    fn a_target_group_is_known_by_its_cluster_and_its_resource() {
        let described = |tags: &[(&str, &str)]| {
            let tags = tags
                .iter()
                .map(|(key, value)| Tag::builder().key(*key).value(*value).build())
                .collect();
            TagDescription::builder()
                .resource_arn("arn:a")
                .set_tags(Some(tags))
                .build()
        };
        let resource = ("ingress.k8s.aws/resource", "production/front-api:80");
        let ours = described(&[("elbv2.k8s.aws/cluster", "mc-prod-eks"), resource]);
        let found = resource_of("mc-prod-eks", &ours);
        assert_eq!(
            found,
            Some(("arn:a".to_owned(), "production/front-api:80".to_owned()))
        );
        assert_eq!(resource_of("mc-dev-eks", &ours), None);
        assert_eq!(resource_of("mc-prod-eks", &described(&[resource])), None);
        assert_eq!(
            resource_of(
                "mc-prod-eks",
                &described(&[("elbv2.k8s.aws/cluster", "mc-prod-eks")])
            ),
            None
        );
    }

    #[test]
    fn what_is_not_said_of_a_target_is_not_healthy() {
        let state = |state: Option<TargetHealthStateEnum>| {
            let health = state.map(|state| TargetHealth::builder().state(state).build());
            let target = TargetDescription::builder().id("10.0.0.1").port(8080).build();
            target_of(
                &TargetHealthDescription::builder()
                    .target(target)
                    .set_target_health(health)
                    .build(),
            )
        };
        let healthy = state(Some(TargetHealthStateEnum::Healthy));
        assert_eq!(
            (healthy.id.as_str(), healthy.state.as_str()),
            ("10.0.0.1:8080", "healthy")
        );
        assert_eq!(state(None).state, "unknown");
    }
}
