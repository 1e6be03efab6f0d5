//! Load balancers in the local AWS, by the real actions of ELBv2 and their real names and tags
//! (aws-load-balancer-controller, `pkg/ingress/model_build_*.go`).

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::doubles::aws::{Form, Query};
use crate::routing::Rule;
use crate::routing::ingress::Routed;

/// A target group by its Service and port.
pub type Key = (String, String);

/// ELBv2 for the Ingresses of one cluster.
#[derive(Debug, Clone)]
pub struct Elb {
    query: Query,
    cluster: String,
}

/// Of which Ingress something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stack {
    /// The Ingress's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A load balancer with its one listener.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// Its ARN.
    pub arn: String,
    /// What clients resolve.
    pub host: String,
    /// The listener's ARN.
    pub listener: String,
}

impl Stack {
    fn tag(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Elb {
    /// At the local AWS.
    pub fn new(endpoint: &str, cluster: &str) -> Result<Self> {
        Ok(Self {
            query: Query::new(endpoint, "elasticloadbalancing", "2015-12-01")?,
            cluster: cluster.to_owned(),
        })
    }

    /// `k8s-<namespace>-<name>-<hash>`: 32 characters at most, letters, digits and hyphens.
    fn name(&self, namespace: &str, name: &str, identity: &str) -> String {
        let short =
            |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).take(8).collect() };
        let hash = hex::encode(Sha256::digest(format!("{}/{identity}", self.cluster)));
        let hash: String = hash.chars().take(10).collect();
        format!("k8s-{}-{}-{hash}", short(namespace), short(name))
    }

    fn tags(&self, stack: &Stack, resource: &str) -> Form {
        let tags = [
            ("elbv2.k8s.aws/cluster", self.cluster.as_str()),
            ("ingress.k8s.aws/stack", &stack.tag()),
            ("ingress.k8s.aws/resource", resource),
        ];
        let mut form = Form::default();
        for (number, (key, value)) in tags.into_iter().enumerate() {
            form.push(format!("Tags.member.{}.Key", number + 1), key);
            form.push(format!("Tags.member.{}.Value", number + 1), value);
        }
        form
    }

    /// Makes the load balancer of an Ingress, with a listener that answers 404.
    pub async fn create(&self, stack: &Stack) -> Result<Balancer> {
        let name = self.name(&stack.namespace, &stack.name, &stack.tag());
        let form = self.tags(stack, "LoadBalancer").with("Name", name);
        let made = self
            .query
            .call("CreateLoadBalancer", form.with("Scheme", "internal"))
            .await?;
        let (arn, host) = (tag(&made, "LoadBalancerArn")?, tag(&made, "DNSName")?);
        let form = self
            .tags(stack, "80")
            .with("LoadBalancerArn", &arn)
            .with("Port", 80)
            .with("Protocol", "HTTP");
        let made = self.query.call("CreateListener", not_found(form)).await?;
        Ok(Balancer {
            arn,
            host,
            listener: tag(&made, "ListenerArn")?,
        })
    }

    /// Makes the target group of a Service's port.
    pub async fn create_group(&self, stack: &Stack, key: &Key, attributes: &str) -> Result<String> {
        let (service, port) = key;
        let resource = format!("{}-{service}:{port}", stack.tag());
        let form = self
            .tags(stack, &resource)
            .with("Name", self.name(&stack.namespace, service, &resource))
            .with("TargetType", "ip")
            .with("Protocol", "HTTP")
            .with("Port", 80);
        let arn = tag(
            &self.query.call("CreateTargetGroup", form).await?,
            "TargetGroupArn",
        )?;
        let mut form = Form::default().with("TargetGroupArn", &arn);
        let pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
        for (number, (name, value)) in pairs.enumerate() {
            form.push(format!("Attributes.member.{}.Key", number + 1), name.trim());
            form.push(format!("Attributes.member.{}.Value", number + 1), value.trim());
        }
        self.query.call("ModifyTargetGroupAttributes", form).await?;
        Ok(arn)
    }

    /// Makes a rule of this priority.
    pub async fn create_rule(
        &self,
        stack: &Stack,
        listener: &str,
        priority: usize,
        (routed, groups): (&Routed, &BTreeMap<Key, String>),
    ) -> Result<String> {
        let form = self
            .tags(stack, &format!("80:{priority}"))
            .with("ListenerArn", listener)
            .with("Priority", priority);
        let form = forward(conditions(form, routed), "Actions", &routed.rule, groups);
        tag(&self.query.call("CreateRule", form).await?, "RuleArn")
    }

    /// Makes a rule another one.
    pub async fn modify_rule(
        &self,
        arn: &str,
        routed: &Routed,
        groups: &BTreeMap<Key, String>,
    ) -> Result<()> {
        let form = conditions(Form::default().with("RuleArn", arn), routed);
        self.done("ModifyRule", forward(form, "Actions", &routed.rule, groups))
            .await
    }

    /// What a listener does with requests that no rule matches; none: it answers 404.
    pub async fn modify_default(
        &self,
        listener: &str,
        rule: Option<&Rule>,
        groups: &BTreeMap<Key, String>,
    ) -> Result<()> {
        let form = Form::default().with("ListenerArn", listener);
        let form = match rule {
            Some(rule) => forward(form, "DefaultActions", rule, groups),
            None => not_found(form),
        };
        self.done("ModifyListener", form).await
    }

    /// Takes a rule away.
    pub async fn delete_rule(&self, arn: &str) -> Result<()> {
        self.done("DeleteRule", Form::default().with("RuleArn", arn))
            .await
    }

    /// Takes a target group away.
    pub async fn delete_group(&self, arn: &str) -> Result<()> {
        self.done("DeleteTargetGroup", Form::default().with("TargetGroupArn", arn))
            .await
    }

    /// Takes a load balancer away, with its listener.
    pub async fn delete(&self, balancer: &Balancer) -> Result<()> {
        self.done(
            "DeleteListener",
            Form::default().with("ListenerArn", &balancer.listener),
        )
        .await?;
        self.done(
            "DeleteLoadBalancer",
            Form::default().with("LoadBalancerArn", &balancer.arn),
        )
        .await
    }

    /// Registers addresses, or deregisters them.
    pub async fn register(&self, group: &str, addresses: &[&str], there: bool) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        let action = if there {
            "RegisterTargets"
        } else {
            "DeregisterTargets"
        };
        self.done(action, targets(group, addresses)).await
    }

    /// Says what a health check would find (the plugin's `load_balancers`).
    pub async fn say_health(&self, group: &str, addresses: &[&str], healthy: bool) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        let form = targets(group, addresses);
        let form = if healthy {
            form.with("State", "healthy")
        } else {
            form.with("State", "unhealthy")
                .with("Reason", "Target.FailedHealthChecks")
        };
        self.done("SimulateTargetHealth", form).await
    }

    async fn done(&self, action: &str, form: Form) -> Result<()> {
        self.query.call(action, form).await.map(|_| ())
    }
}

fn targets(group: &str, addresses: &[&str]) -> Form {
    let mut form = Form::default().with("TargetGroupArn", group);
    for (number, address) in addresses.iter().enumerate() {
        form.push(format!("Targets.member.{}.Id", number + 1), address);
    }
    form
}

fn not_found(form: Form) -> Form {
    form.with("DefaultActions.member.1.Type", "fixed-response")
        .with("DefaultActions.member.1.FixedResponseConfig.StatusCode", 404)
}

fn conditions(mut form: Form, routed: &Routed) -> Form {
    let host = routed
        .host
        .iter()
        .map(|host| ("host-header", "HostHeaderConfig", vec![host.clone()]));
    let any = routed.host.is_none() && routed.paths.is_empty();
    let paths = if any {
        vec!["/*".to_owned()]
    } else {
        routed.paths.clone()
    };
    let paths = (!paths.is_empty()).then_some(("path-pattern", "PathPatternConfig", paths));
    for (number, (field, config, values)) in host.chain(paths).enumerate() {
        let base = format!("Conditions.member.{}", number + 1);
        form.push(format!("{base}.Field"), field);
        for (number, value) in values.iter().enumerate() {
            form.push(format!("{base}.{config}.Values.member.{}", number + 1), value);
        }
    }
    form
}

fn forward(mut form: Form, prefix: &str, rule: &Rule, groups: &BTreeMap<Key, String>) -> Form {
    form.push(format!("{prefix}.member.1.Type"), "forward");
    for (number, backend) in rule.backends.iter().enumerate() {
        let base = format!(
            "{prefix}.member.1.ForwardConfig.TargetGroups.member.{}",
            number + 1
        );
        let key = (backend.service.clone(), backend.port.clone());
        let arn = groups.get(&key).map_or("", String::as_str);
        form.push(format!("{base}.TargetGroupArn"), arn);
        form.push(format!("{base}.Weight"), backend.weight);
    }
    form
}

/// The text of the first such tag.
fn tag(xml: &str, name: &str) -> Result<String> {
    let text = xml
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map(|(text, _)| text.to_owned());
    text.with_context(|| format!("ELBv2 answered no {name}: {xml}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_short_and_the_clusters_own() {
        let of = |cluster| {
            let elb = Elb::new("http://127.0.0.1:1", cluster).unwrap();
            elb.name("t-long-namespace", "api.v1", "t-long-namespace/api.v1")
        };
        assert!(of("one").starts_with("k8s-tlongnam-apiv1-"));
        assert_ne!(of("one"), of("two"));
        assert!(of("one").len() <= 32);
    }

    #[test]
    fn the_text_of_a_tag_is_found() {
        assert_eq!(tag("<a><b>x</b></a>", "b").unwrap(), "x");
        assert!(tag("<a/>", "b").is_err());
    }
}
