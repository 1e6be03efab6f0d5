//! What the double of the AWS Load Balancer Controller does, seen through the real `aws` command.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::image::Image;

use crate::here::{Here, until, until_is};

/// A namespace with two ready pods behind each of `api-blue` and `api-green`.
async fn with_tracks(name: &str) -> Here {
    let here = Here::new(name).await;
    let image = here.push(&Image::new(name)).await;
    for track in ["blue", "green"] {
        here.track(track, 2, &image).await;
    }
    here
}

impl Here {
    /// An Ingress with the same weights under two paths.
    async fn ingress(&self, blue: u32, green: u32) {
        let group = |track: &str, weight: u32| json!({"serviceName": format!("api-{track}"), "servicePort": 80, "weight": weight});
        let action = json!({"type": "forward", "forwardConfig": {
            "targetGroups": [group("blue", blue), group("green", green)]}});
        let path = |path: &str| {
            json!({"path": path, "pathType": "Prefix",
                   "backend": {"service": {"name": "api", "port": {"name": "use-annotation"}}}})
        };
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "api", "annotations": {
                "alb.ingress.kubernetes.io/target-type": "ip",
                "alb.ingress.kubernetes.io/target-group-attributes": "deregistration_delay.timeout_seconds=0",
                "alb.ingress.kubernetes.io/actions.api": action.to_string()}},
            "spec": {"ingressClassName": "alb",
                     "rules": [{"http": {"paths": [path("/v1"), path("/v2")]}}]}});
        self.apply::<Ingress>("api", ingress).await;
    }

    /// The ARN of this test's load balancer, found by its tags.
    fn balancer(&self) -> Option<String> {
        let all = self.aws("elbv2", &["describe-load-balancers"]);
        let arns = all["LoadBalancers"].as_array().unwrap().iter();
        let mut arns = arns.map(|one| one["LoadBalancerArn"].as_str().unwrap().to_owned());
        arns.find(|arn| self.stack_of(arn) == format!("{}/api", self.namespace))
    }

    fn stack_of(&self, arn: &str) -> String {
        let tags = self.aws("elbv2", &["describe-tags", "--resource-arns", arn]);
        let tags = tags["TagDescriptions"][0]["Tags"].as_array().unwrap().clone();
        let stack = tags.iter().find(|tag| tag["Key"] == "ingress.k8s.aws/stack");
        stack.map_or_else(String::new, |tag| tag["Value"].as_str().unwrap().to_owned())
    }

    /// The weights of each rule by Service, the default rule aside.
    fn weights(&self) -> Vec<BTreeMap<String, i64>> {
        let Some(balancer) = self.balancer() else {
            return Vec::new();
        };
        let groups = self.groups(&balancer);
        let name = |arn: &Value| groups.iter().find(|(_, known)| *known == arn).unwrap().0.clone();
        let listeners = self.aws("elbv2", &["describe-listeners", "--load-balancer-arn", &balancer]);
        let listener = listeners["Listeners"][0]["ListenerArn"].as_str().unwrap();
        let rules = self.aws("elbv2", &["describe-rules", "--listener-arn", listener]);
        let rules = rules["Rules"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule["IsDefault"] == false);
        rules
            .map(|rule| {
                let groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
                    .as_array()
                    .unwrap();
                groups
                    .iter()
                    .map(|group| (name(&group["TargetGroupArn"]), group["Weight"].as_i64().unwrap()))
                    .collect()
            })
            .collect()
    }

    /// Target groups of a load balancer by the Service that their tag names.
    fn groups(&self, balancer: &str) -> BTreeMap<String, String> {
        let groups = self.aws(
            "elbv2",
            &["describe-target-groups", "--load-balancer-arn", balancer],
        );
        let groups = groups["TargetGroups"].as_array().unwrap().iter();
        groups
            .map(|group| {
                let arn = group["TargetGroupArn"].as_str().unwrap();
                let tags = self.aws("elbv2", &["describe-tags", "--resource-arns", arn]);
                let tags = tags["TagDescriptions"][0]["Tags"].as_array().unwrap().clone();
                let resource = tags
                    .iter()
                    .find(|tag| tag["Key"] == "ingress.k8s.aws/resource")
                    .unwrap();
                let resource = resource["Value"].as_str().unwrap();
                let service = resource
                    .strip_prefix(&format!("{}/api-", self.namespace))
                    .unwrap();
                (service.trim_end_matches(":80").to_owned(), arn.to_owned())
            })
            .collect()
    }

    /// The states of the targets of a Service.
    fn health(&self, service: &str) -> Vec<String> {
        let Some(balancer) = self.balancer() else {
            return Vec::new();
        };
        let groups = self.groups(&balancer);
        let Some(arn) = groups.get(service) else {
            return Vec::new();
        };
        let health = self.aws("elbv2", &["describe-target-health", "--target-group-arn", arn]);
        let all = health["TargetHealthDescriptions"].as_array().unwrap().iter();
        all.map(|one| one["TargetHealth"]["State"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Until the controller has said this of the Ingress.
    async fn until_event(&self, reason: &str, part: &str) {
        let events = self.api::<Event>();
        let look = async || {
            let all = events.list(&Default::default()).await.unwrap();
            let said = all.items.into_iter().map(|one| (one.reason, one.message));
            said.collect::<Vec<_>>()
        };
        let is_it = |(why, message): &(Option<String>, Option<String>)| {
            why.as_deref() == Some(reason) && message.as_deref().unwrap_or_default().contains(part)
        };
        until(reason, look, |said| said.iter().any(is_it)).await;
    }
}

fn weights(blue: i64, green: i64) -> BTreeMap<String, i64> {
    [("api-blue".to_owned(), blue), ("api-green".to_owned(), green)].into()
}

fn states(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_is_a_load_balancer_with_weights_and_healthy_targets() {
    let here = with_tracks("alb").await;
    here.ingress(95, 5).await;
    until_is(
        "weights",
        async || here.weights(),
        vec![weights(95, 5), weights(95, 5)],
    )
    .await;
    until_is(
        "blue",
        async || here.health("api-blue"),
        states(&["healthy", "healthy"]),
    )
    .await;
    here.until_event("SuccessfullyReconciled", "").await;
    let ingresses = here.api::<Ingress>();
    let status = serde_json::to_value(ingresses.get("api").await.unwrap().status).unwrap();
    let host = status["loadBalancer"]["ingress"][0]["hostname"].as_str().unwrap();
    assert!(host.ends_with(".us-east-1.elb.amazonaws.com"), "{host}");

    here.ask(json!({"sluice.sim/unhealthy": "api-green"})).await;
    until_is(
        "green",
        async || here.health("api-green"),
        states(&["unhealthy", "unhealthy"]),
    )
    .await;
    assert_eq!(here.health("api-blue"), states(&["healthy", "healthy"]));
    let one = Patch::Merge(json!({"spec": {"replicas": 1}}));
    here.api::<Deployment>()
        .patch("api-blue", &PatchParams::default(), &one)
        .await
        .unwrap();
    until_is("blue", async || here.health("api-blue"), states(&["healthy"])).await;

    ingresses.delete("api", &DeleteParams::default()).await.unwrap();
    until_is("the load balancer", async || here.balancer(), None).await;
    here.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_refuses_stops_half_way_and_lags_on_request() {
    let here = with_tracks("alb-faults").await;
    here.ingress(100, 0).await;
    until_is(
        "weights",
        async || here.weights(),
        vec![weights(100, 0), weights(100, 0)],
    )
    .await;
    here.ask(json!({"sluice.sim/refuse": "no right to do so"})).await;
    here.ingress(90, 10).await;
    here.until_event("FailedDeployModel", "no right to do so").await;
    assert_eq!(here.weights(), [weights(100, 0), weights(100, 0)]);

    here.ask(json!({"sluice.sim/refuse": null, "sluice.sim/partial": "true"}))
        .await;
    here.until_event("FailedDeployModel", "failed after the first rule")
        .await;
    assert_eq!(here.weights(), [weights(90, 10), weights(100, 0)]);

    here.ask(json!({"sluice.sim/partial": null, "sluice.sim/lag": "500ms"}))
        .await;
    until_is(
        "weights",
        async || here.weights(),
        vec![weights(90, 10), weights(90, 10)],
    )
    .await;
    here.done().await;
}
