//! What the double of the AWS Load Balancer Controller does, seen through the real `aws` command: `sluice-local run
//! --without-sluice -- cargo test -p sluice-local --test alb`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Namespace, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::image::{Image, Pusher};
use sluice_local::{Cluster, Environment};

const LIMIT: Duration = Duration::from_secs(60);

struct Here {
    environment: Environment,
    cluster: Cluster,
    client: Client,
    namespace: String,
}

impl Here {
    /// A namespace with two ready pods behind each of `api-blue` and `api-green`.
    async fn new(name: &str) -> Self {
        let environment = Environment::load().unwrap();
        let cluster = environment.clusters[0].clone();
        let client = cluster.admin().await.unwrap();
        let namespace = cluster.create_test_namespace(name).await.unwrap();
        let here = Self {
            environment,
            cluster,
            client,
            namespace,
        };
        let pusher = Pusher::new(&here.environment, "mc-api");
        let pushed = pusher.push(&Image::new(name), &[]).await.unwrap();
        let image = format!("{}/mc-api@{}", here.environment.registry_host(), pushed.digest);
        for track in ["blue", "green"] {
            let name = format!("api-{track}");
            let labels = json!({"app": "api", "sluice.dev/track": track});
            here.apply::<Service>(
                &name,
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                       "spec": {"selector": labels, "ports": [{"port": 80}]}}),
            )
            .await;
            here.apply::<Deployment>(
                &name,
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                    "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels},
                                     "spec": {"containers": [{"name": "api", "image": image}]}}}}),
            )
            .await;
        }
        here
    }

    async fn apply<K>(&self, name: &str, object: Value)
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object))
            .await
            .unwrap();
    }

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

    async fn ask(&self, annotations: Value) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"annotations": annotations}});
        namespaces
            .patch(&self.namespace, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    fn elb(&self, arguments: &[&str]) -> Value {
        let output = std::process::Command::new(self.environment.sam_bin.join("aws"))
            .args(["elbv2", "--output", "json"])
            .args(arguments)
            .envs(self.environment.variables())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The ARN of this test's load balancer, found by its tags.
    fn balancer(&self) -> Option<String> {
        let all = self.elb(&["describe-load-balancers"]);
        let arns = all["LoadBalancers"].as_array().unwrap().iter();
        let mut arns = arns.map(|one| one["LoadBalancerArn"].as_str().unwrap().to_owned());
        arns.find(|arn| self.stack_of(arn) == format!("{}/api", self.namespace))
    }

    fn stack_of(&self, arn: &str) -> String {
        let tags = self.elb(&["describe-tags", "--resource-arns", arn]);
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
        let listeners = self.elb(&["describe-listeners", "--load-balancer-arn", &balancer]);
        let listener = listeners["Listeners"][0]["ListenerArn"].as_str().unwrap();
        let rules = self.elb(&["describe-rules", "--listener-arn", listener]);
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
        let groups = self.elb(&["describe-target-groups", "--load-balancer-arn", balancer]);
        let groups = groups["TargetGroups"].as_array().unwrap().iter();
        groups
            .map(|group| {
                let arn = group["TargetGroupArn"].as_str().unwrap();
                let tags = self.elb(&["describe-tags", "--resource-arns", arn]);
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
        let health = self.elb(&["describe-target-health", "--target-group-arn", arn]);
        let all = health["TargetHealthDescriptions"].as_array().unwrap().iter();
        all.map(|one| one["TargetHealth"]["State"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn until<T: PartialEq + std::fmt::Debug>(&self, what: &str, look: impl Fn() -> T, wanted: T) {
        let started = std::time::Instant::now();
        loop {
            let found = look();
            if found == wanted {
                return;
            }
            assert!(started.elapsed() < LIMIT, "{what} is {found:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Until the controller has said this of the Ingress.
    async fn said(&self, reason: &str, part: &str) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let looking = async {
            loop {
                let all = events.list(&Default::default()).await.unwrap();
                let found = all.items.iter().any(|one| {
                    one.reason.as_deref() == Some(reason)
                        && one.message.as_deref().unwrap_or_default().contains(part)
                });
                if found {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking)
            .await
            .unwrap_or_else(|_| panic!("{reason} {part:?} was not said"));
    }

    async fn done(self) {
        self.cluster.delete_namespace(&self.namespace).await.unwrap();
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
    let here = Here::new("alb").await;
    here.ingress(95, 5).await;
    here.until("weights", || here.weights(), vec![weights(95, 5), weights(95, 5)])
        .await;
    here.until(
        "blue",
        || here.health("api-blue"),
        states(&["healthy", "healthy"]),
    )
    .await;
    here.said("SuccessfullyReconciled", "").await;
    let ingresses: Api<Ingress> = Api::namespaced(here.client.clone(), &here.namespace);
    let status = serde_json::to_value(ingresses.get("api").await.unwrap().status).unwrap();
    let host = status["loadBalancer"]["ingress"][0]["hostname"].as_str().unwrap();
    assert!(host.ends_with(".us-east-1.elb.amazonaws.com"), "{host}");

    here.ask(json!({"sluice.sim/unhealthy": "api-green"})).await;
    here.until(
        "green",
        || here.health("api-green"),
        states(&["unhealthy", "unhealthy"]),
    )
    .await;
    assert_eq!(here.health("api-blue"), states(&["healthy", "healthy"]));
    let deployments: Api<Deployment> = Api::namespaced(here.client.clone(), &here.namespace);
    let one = Patch::Merge(json!({"spec": {"replicas": 1}}));
    deployments
        .patch("api-blue", &PatchParams::default(), &one)
        .await
        .unwrap();
    here.until("blue", || here.health("api-blue"), states(&["healthy"]))
        .await;

    ingresses.delete("api", &DeleteParams::default()).await.unwrap();
    here.until("the load balancer", || here.balancer(), None).await;
    here.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_refuses_stops_half_way_and_lags_on_request() {
    let here = Here::new("alb-faults").await;
    here.ingress(100, 0).await;
    here.until(
        "weights",
        || here.weights(),
        vec![weights(100, 0), weights(100, 0)],
    )
    .await;
    here.ask(json!({"sluice.sim/refuse": "no right to do so"})).await;
    here.ingress(90, 10).await;
    here.said("FailedDeployModel", "no right to do so").await;
    assert_eq!(here.weights(), [weights(100, 0), weights(100, 0)]);

    here.ask(json!({"sluice.sim/refuse": null, "sluice.sim/partial": "true"}))
        .await;
    here.said("FailedDeployModel", "failed after the first rule")
        .await;
    assert_eq!(here.weights(), [weights(90, 10), weights(100, 0)]);

    here.ask(json!({"sluice.sim/partial": null, "sluice.sim/lag": "500ms"}))
        .await;
    here.until(
        "weights",
        || here.weights(),
        vec![weights(90, 10), weights(90, 10)],
    )
    .await;
    here.done().await;
}
