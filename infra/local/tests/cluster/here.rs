//! A namespace of one test, and what several tests make and look at there.

use std::fmt::Debug;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_local::image::{Image, Pusher};
use sluice_local::routing::http_route;
use sluice_local::{Cluster, Environment};

/// For whatever is waited for.
pub const LIMIT: Duration = Duration::from_secs(90);
const EVERY: Duration = Duration::from_millis(50);

/// A namespace of one test, which goes when the test ends well; a failed one stays to be looked at.
pub struct Here {
    pub environment: Environment,
    pub cluster: Cluster,
    pub client: Client,
    pub namespace: String,
    pub pusher: Pusher,
}

impl Here {
    pub async fn new(name: &str) -> Self {
        let environment = Environment::load().unwrap();
        let cluster = environment.clusters[0].clone();
        let client = cluster.admin().await.unwrap();
        let namespace = cluster.create_test_namespace(name).await.unwrap();
        let pusher = Pusher::new(&environment, "mc-api");
        Self {
            environment,
            cluster,
            client,
            namespace,
            pusher,
        }
    }

    pub async fn done(self) {
        self.cluster.delete_namespace(&self.namespace).await.unwrap();
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn apply<K>(&self, name: &str, object: Value)
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let parameters = PatchParams::apply("test").force();
        self.api::<K>()
            .patch(name, &parameters, &Patch::Apply(object))
            .await
            .unwrap();
    }

    pub async fn service(&self, name: &str, selector: Value) {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"port": 80}]}});
        self.apply::<Service>(name, service).await;
    }

    pub async fn deployment(&self, name: &str, labels: Value, replicas: u32, image: &str) {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                             "spec": {"containers": [{"name": "api", "image": image}]}}}});
        self.apply::<Deployment>(name, deployment).await;
    }

    /// `api-<track>`: as many pods with this image, and the Service before them.
    pub async fn track(&self, track: &str, replicas: u32, image: &str) {
        let name = format!("api-{track}");
        let labels = json!({"app": "api", "sluice.dev/track": track});
        self.service(&name, labels.clone()).await;
        self.deployment(&name, labels, replicas, image).await;
    }

    pub fn routes(&self) -> Api<DynamicObject> {
        let resource = http_route::resource("HTTPRoute", "httproutes");
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// The HTTPRoute `api` of this Gateway, with these weights of the tracks.
    pub async fn route(&self, gateway: &str, blue: u32, green: u32) {
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "api"},
            "spec": {"parentRefs": [{"name": gateway, "namespace": "gateways"}],
                "rules": [{"backendRefs": [{"name": "api-blue", "port": 80, "weight": blue},
                                           {"name": "api-green", "port": 80, "weight": green}]}]}});
        self.routes()
            .patch("api", &PatchParams::apply("test").force(), &Patch::Apply(route))
            .await
            .unwrap();
    }

    /// Asks something of the doubles, in the namespace, where no writer of a route removes it.
    pub async fn ask(&self, annotations: Value) {
        let patch = json!({"metadata": {"annotations": annotations}});
        Api::<Namespace>::all(self.client.clone())
            .patch(&self.namespace, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Pushes an image, and says what pods call it.
    pub async fn push(&self, image: &Image) -> String {
        let pushed = self.pusher.push(image, &[]).await.unwrap();
        self.image(&pushed.digest)
    }

    pub fn image(&self, digest: &str) -> String {
        format!("{}/mc-api@{digest}", self.environment.registry_host())
    }

    /// What the real `aws` command, which must succeed, says of a service.
    pub fn aws(&self, service: &str, arguments: &[&str]) -> Value {
        let output = Command::new(self.environment.sam_bin.join("aws"))
            .args([service, "--output", "json"])
            .args(arguments)
            .envs(self.environment.variables())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{service} {arguments:?}: {error}");
        if output.stdout.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Looks until what is seen is accepted; after the limit it fails with what was seen last.
pub async fn until<T: Debug>(what: &str, look: impl AsyncFn() -> T, accepts: impl Fn(&T) -> bool) -> T {
    let started = Instant::now();
    loop {
        let found = look().await;
        if accepts(&found) {
            return found;
        }
        assert!(
            started.elapsed() < LIMIT,
            "{what}: not within {LIMIT:?}; it is {found:?}"
        );
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks until just this is seen.
pub async fn until_is<T: Debug + PartialEq>(what: &str, look: impl AsyncFn() -> T, wanted: T) {
    until(&format!("{what} is {wanted:?}"), look, |found| *found == wanted).await;
}
