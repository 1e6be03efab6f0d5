//! What is known of a rollback to a stored bundle.

use super::{Budget, Known, Pods, Ready, RouterKind, Way};
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
    /// The same, where what was never seen takes as little as it can: whatever is longer than that is a guess.
    pub sure: Budget,
}

impl Budgets {
    /// Of a rollback that brings this bundle back, after a promotion by this version's strategy.
    pub fn of(bundle: &Bundle, spec: &EnvironmentSpec, environment: &Environment) -> Self {
        let router = router(spec, environment).map(RouterKind::of);
        let known = |way| Known {
            way,
            pods: pods(bundle, environment),
            accepted: accepted(environment, router),
            deregistration: Seconds(0),
        };
        let worst = known(router.map_or(Way::Rolling, Way::Cold));
        Self {
            warm: router.map(|router| Budget::of(&known(Way::Warm(router)))),
            worst: Budget::of(&worst),
            sure: Budget::of(&without_guesses(worst)),
        }
    }

    /// Why a rollback that takes so long must not become necessary; none where it fits into the limit as far as it is known.
    /// Nothing is refused on what probes allow a pod that nobody has seen yet: most are ready much sooner.
    pub fn refusal(&self, limit: Seconds) -> Option<String> {
        self.sure.over(limit)
    }

    /// That it may take longer than it may, by the probes of pods that nobody has seen yet.
    pub fn doubt(&self, limit: Seconds) -> Option<String> {
        let is_guess = self.worst.seconds > limit && self.sure.seconds <= limit;
        is_guess.then(|| {
            format!(
                "by its probes alone a rollback could take up to {}, more than rollback_within, which is {limit}: how long \
                 its pods really take is seen when a release is verified here, and only that is a reason to refuse one",
                self.worst.seconds
            )
        })
    }
}

fn without_guesses(mut known: Known) -> Known {
    for pods in &mut known.pods {
        if let Ready::Probes(_) = pods.ready {
            pods.ready = Ready::AtOnce;
        }
    }
    known
}

/// How long this router was seen to take. Another one says nothing of it.
fn accepted(environment: &Environment, router: Option<RouterKind>) -> Option<Seconds> {
    let route = environment.tracks.as_ref()?.route.as_ref()?;
    environment
        .seen
        .accepted
        .filter(|_| router == Some(RouterKind::of(&route.router)))
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

fn pods(bundle: &Bundle, environment: &Environment) -> Vec<Pods> {
    let of = |name: &str, manifest: &Value, replicas: Option<i32>| {
        let mut manifest = manifest.clone();
        // A bundle's manifests have no names: they stand beside them.
        if let Some(manifest) = manifest.as_object_mut() {
            manifest.insert("metadata".to_owned(), json!({"name": name}));
        }
        let full = environment
            .tracks
            .as_ref()
            .and_then(|tracks| tracks.full.get(name));
        let seen = environment.seen.ready.get(name).copied();
        Pods::of(&manifest, replicas.or_else(|| full.copied()), seen)
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
