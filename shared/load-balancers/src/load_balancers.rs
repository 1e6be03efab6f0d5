//! Reading a load balancer.

use crate::error::LoadBalancersError;
use crate::reading::{resource_of, rule_of, target_of};
use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::Listener;
use futures::{StreamExt, TryStreamExt, stream};
use sluice_aws::{AwsPlace, Clients};
use sluice_domain::router::{ListenerRule, LoadBalancer, Target, TargetGroup};
use std::collections::{BTreeMap, BTreeSet};

/// Requests at a time.
const AT_ONCE: usize = 4;
/// The most resources of one DescribeTags (API_DescribeTags).
const MOST_TAGGED: usize = 20;

/// Load balancers, in every account and region that this process has met. Clones share their clients.
#[derive(Debug, Clone)]
pub struct LoadBalancers {
    clients: Clients<Client>,
}

/// Those of one account and region.
struct Reader {
    client: Client,
}

impl LoadBalancers {
    /// Load balancers that are read with this configuration's credentials.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            clients: Clients::new(config, Client::new),
        }
    }

    /// The load balancer with this DNS name, in the account and region of the environment: the rules of all its listeners that
    /// forward, and the target groups that the controller made there for this cluster and Ingress (`namespace/name`) with the
    /// health of their targets. None where there is no such load balancer.
    ///
    /// Rules are read before health, so that a target group that has just been named is not told as healthy from before.
    pub async fn read(
        &self,
        at: &AwsPlace,
        cluster: &str,
        ingress: &str,
        hostname: &str,
    ) -> Result<Option<LoadBalancer>, LoadBalancersError> {
        let client = self.clients.at(at).await.map_err(LoadBalancersError::Role)?;
        Reader { client }.read(cluster, ingress, hostname).await
    }
}

impl Reader {
    async fn read(
        &self,
        cluster: &str,
        ingress: &str,
        hostname: &str,
    ) -> Result<Option<LoadBalancer>, LoadBalancersError> {
        let Some((arn, name)) = self.find(hostname).await? else {
            return Ok(None);
        };
        let rules = self.rules(&arn).await?;
        let named: BTreeSet<&str> = rules
            .iter()
            .flat_map(|rule| rule.weights.keys())
            .map(String::as_str)
            .collect();
        let mut resources = self.resources(cluster, &named).await?;
        resources.retain(|_, resource| resource.starts_with(&format!("{ingress}-")));
        let types = self.target_types(&resources).await?;
        let read = stream::iter(&resources).map(|(arn, resource)| async {
            Ok::<_, LoadBalancersError>(TargetGroup {
                targets: self.targets(arn).await?,
                target_type: types.get(arn).cloned().unwrap_or_else(|| "unknown".to_owned()),
                arn: arn.clone(),
                resource: Some(resource.clone()),
            })
        });
        let target_groups = read.buffered(AT_ONCE).try_collect().await?;
        Ok(Some(LoadBalancer {
            name,
            rules,
            target_groups,
        }))
    }

    /// Nothing can be asked for by DNS name, so that pages are looked through. DNS names have no case.
    async fn find(&self, hostname: &str) -> Result<Option<(String, String)>, LoadBalancersError> {
        let mut pages = self
            .client
            .describe_load_balancers()
            .into_paginator()
            .items()
            .send();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| LoadBalancersError::of("DescribeLoadBalancers", error))?;
            if found
                .dns_name()
                .is_some_and(|name| name.eq_ignore_ascii_case(hostname))
            {
                let name = found.load_balancer_name().unwrap_or(hostname).to_owned();
                let arn = found.load_balancer_arn.ok_or(LoadBalancersError::Malformed {
                    action: "DescribeLoadBalancers",
                    field: "LoadBalancerArn",
                })?;
                return Ok(Some((arn, name)));
            }
        }
        Ok(None)
    }

    async fn rules(&self, load_balancer: &str) -> Result<Vec<ListenerRule>, LoadBalancersError> {
        let pages = self
            .client
            .describe_listeners()
            .load_balancer_arn(load_balancer)
            .into_paginator();
        let listeners: Result<Vec<Listener>, _> = pages.items().send().collect().await;
        let listeners = listeners.map_err(|error| LoadBalancersError::of("DescribeListeners", error))?;
        let read = stream::iter(listeners).map(|listener| self.rules_of(listener));
        let rules: Vec<Vec<ListenerRule>> = read.buffered(AT_ONCE).try_collect().await?;
        Ok(rules.into_iter().flatten().collect())
    }

    async fn rules_of(&self, listener: Listener) -> Result<Vec<ListenerRule>, LoadBalancersError> {
        let arn = listener.listener_arn().ok_or(LoadBalancersError::Malformed {
            action: "DescribeListeners",
            field: "ListenerArn",
        })?;
        let mut pages = self
            .client
            .describe_rules()
            .listener_arn(arn)
            .into_paginator()
            .items()
            .send();
        let mut rules = Vec::new();
        while let Some(rule) = pages.next().await {
            let rule = rule.map_err(|error| LoadBalancersError::of("DescribeRules", error))?;
            rules.extend(rule_of(listener.port().unwrap_or_default(), &rule)?);
        }
        Ok(rules)
    }

    /// The tag `ingress.k8s.aws/resource` of each target group of this cluster that has one, by ARN.
    async fn resources(
        &self,
        cluster: &str,
        groups: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, String>, LoadBalancersError> {
        let mut found = BTreeMap::new();
        for some in groups.iter().collect::<Vec<_>>().chunks(MOST_TAGGED) {
            let some = some.iter().map(ToString::to_string).collect();
            let call = self.client.describe_tags().set_resource_arns(Some(some));
            let answer = call
                .send()
                .await
                .map_err(|error| LoadBalancersError::of("DescribeTags", error))?;
            found.extend(
                answer
                    .tag_descriptions()
                    .iter()
                    .filter_map(|tags| resource_of(cluster, tags)),
            );
        }
        Ok(found)
    }

    /// `ip`, `instance` or another, by ARN.
    async fn target_types(
        &self,
        groups: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, LoadBalancersError> {
        if groups.is_empty() {
            return Ok(BTreeMap::new());
        }
        let arns = groups.keys().cloned().collect();
        let call = self
            .client
            .describe_target_groups()
            .set_target_group_arns(Some(arns));
        let mut pages = call.into_paginator().items().send();
        let mut found = BTreeMap::new();
        while let Some(group) = pages.next().await {
            let group = group.map_err(|error| LoadBalancersError::of("DescribeTargetGroups", error))?;
            if let (Some(arn), Some(kind)) = (group.target_group_arn(), group.target_type()) {
                found.insert(arn.to_owned(), kind.as_str().to_owned());
            }
        }
        Ok(found)
    }

    async fn targets(&self, group: &str) -> Result<Vec<Target>, LoadBalancersError> {
        let call = self.client.describe_target_health().target_group_arn(group);
        let answer = call
            .send()
            .await
            .map_err(|error| LoadBalancersError::of("DescribeTargetHealth", error))?;
        Ok(answer
            .target_health_descriptions()
            .iter()
            .map(target_of)
            .collect())
    }
}
