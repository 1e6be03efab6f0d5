//! What is known of a rollback to a stored bundle.

use super::{Budget, Known, Pods, RouterKind, Way};
use crate::bundle::Bundle;
use crate::environment::Environment;
use crate::pipeline::{EnvironmentSpec, Router, Seconds};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a rollback may take, as far as it is known before a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets {
    /// While the old track keeps its pods; none where there are no tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Budget>,
    /// At worst: every pod is made anew.
    pub worst: Budget,
}

impl Budgets {
    /// Of a rollback that brings this bundle back, after a promotion by this version's strategy.
    pub fn of(bundle: &Bundle, spec: &EnvironmentSpec, environment: &Environment) -> Self {
        let router = router(spec, environment).map(RouterKind::of);
        let known = |way| Known {
            way,
            pods: pods(bundle),
            accepted: None,
            deregistration: Seconds(0),
        };
        Self {
            warm: router.map(|router| Budget::of(&known(Way::Warm(router)))),
            worst: Budget::of(&known(router.map_or(Way::Rolling, Way::Cold))),
        }
    }
}

/// What would share the traffic out: what the pipeline says, or what did until now where it says `rolling` again.
fn router<'a>(spec: &'a EnvironmentSpec, environment: &'a Environment) -> Option<&'a Router> {
    let used = || {
        let tracks = environment.tracks.as_ref()?;
        tracks.live?;
        Some(&tracks.route.as_ref()?.router)
    };
    spec.strategy.router().or_else(used)
}

fn pods(bundle: &Bundle) -> Vec<Pods> {
    let of = |name: &str, manifest: &Value, replicas| {
        let mut manifest = manifest.clone();
        // A bundle's manifests have no names: they stand beside them.
        if let Some(manifest) = manifest.as_object_mut() {
            manifest.insert("metadata".to_owned(), json!({"name": name}));
        }
        Pods::of(&manifest, replicas, None)
    };
    let deployments = bundle.deployments.iter();
    deployments
        .map(|one| of(&one.name, &one.manifest, one.replicas))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::{BlueGreen, Strategy};
    use crate::samples::{bundle, environment, spec};

    fn slow() -> Bundle {
        let mut bundle = bundle(1);
        let one = bundle.deployments.first_mut().unwrap();
        one.replicas = Some(4);
        one.manifest = json!({"spec": {
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"spec": {"containers": [{"name": "api", "readinessProbe": {"periodSeconds": 20}}]}}}});
        bundle
    }

    #[test]
    fn what_is_known_of_a_way_back() {
        let rolling = Budgets::of(&slow(), &spec(None), &environment());
        assert_eq!(rolling.warm, None);
        let mut tracked = spec(None);
        tracked.strategy = Strategy::BlueGreen(BlueGreen {
            router: Router::HttpRoute("mc-api".into()),
            service: None,
            preview: Vec::new(),
        });
        let on_tracks = Budgets::of(&slow(), &tracked, &environment());
        let told = [&rolling.worst, &on_tracks.worst, on_tracks.warm.as_ref().unwrap()];
        insta::assert_snapshot!(told.map(ToString::to_string).join("\n"));
    }
}
