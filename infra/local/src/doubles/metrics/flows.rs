//! Who gets how much of a namespace's traffic. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::doubles::programmed::Router;
use crate::node::load::Load;
use crate::routing::Rule;

/// The part of a service's requests that one backend gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The namespace of both.
    pub namespace: String,
    /// What the requests are sent to: the router's name, or a plain Service.
    pub service: String,
    /// The Service that they meet; of a plain Service with tracks `<service>-<track>`.
    pub backend: String,
    /// 0 to 100.
    pub percent: f64,
    /// What each pod behind it answers.
    pub pods: Vec<Load>,
}

/// A Service as traffic sees it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What each pod behind it answers, with the pod's track, where it says either.
    pub pods: Vec<(Option<String>, Load)>,
}

/// Services by namespace and name.
pub type Services = BTreeMap<(String, String), Known>;

const TRACKS: [&str; 2] = ["blue", "green"];

/// All flows: of each router what it serves, and of each Service that no router and no track stands for everything.
pub fn flows(programmed: &BTreeMap<Router, Vec<Rule>>, services: &Services) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut covered = BTreeSet::new();
    for (router, rules) in programmed {
        covered.insert((router.namespace.clone(), router.name.clone()));
        for (backend, percent) in shares(rules) {
            let key = (router.namespace.clone(), backend.clone());
            let pods = services
                .get(&key)
                .map(|known| known.pods.clone())
                .unwrap_or_default();
            covered.extend(stem(&backend).map(|stem| (router.namespace.clone(), stem.to_owned())));
            covered.insert(key);
            flows.push(Flow {
                namespace: router.namespace.clone(),
                service: router.name.clone(),
                backend,
                percent,
                pods: pods.into_iter().map(|(_, load)| load).collect(),
            });
        }
    }
    for ((namespace, name), known) in services {
        let is_track =
            stem(name).is_some_and(|stem| services.contains_key(&(namespace.clone(), stem.to_owned())));
        if !is_track && !covered.contains(&(namespace.clone(), name.clone())) {
            flows.extend(plain(namespace, name, known));
        }
    }
    flows.retain(|flow| flow.percent > 0.0);
    flows
}

/// `api` of `api-blue`.
fn stem(name: &str) -> Option<&str> {
    TRACKS
        .iter()
        .find_map(|track| name.strip_suffix(track)?.strip_suffix('-'))
}

/// The shares of a router: as if each of its rules got as many requests as every other one.
fn shares(rules: &[Rule]) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for rule in rules {
        for (backend, percent) in rule.shares() {
            *all.entry(backend.to_owned()).or_default() += percent / rules.len() as f64;
        }
    }
    all
}

/// A Service's requests go to all of its pods alike.
fn plain(namespace: &str, name: &str, known: &Known) -> Vec<Flow> {
    let mut tracks: BTreeMap<String, Vec<Load>> = BTreeMap::new();
    for (track, load) in &known.pods {
        let backend = track
            .as_ref()
            .map_or_else(|| name.to_owned(), |track| format!("{name}-{track}"));
        tracks.entry(backend).or_default().push(load.clone());
    }
    let flow = |(backend, pods): (String, Vec<Load>)| Flow {
        namespace: namespace.to_owned(),
        service: name.to_owned(),
        backend,
        percent: pods.len() as f64 * 100.0 / known.pods.len() as f64,
        pods,
    };
    tracks.into_iter().map(flow).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::routing::Backend;

    fn load(error_rate: f64) -> Load {
        Load {
            requests_per_second: 100.0,
            error_rate,
            latency: std::time::Duration::ZERO,
            namespace: "X".into(),
        }
    }

    fn services(all: &[(&str, &[(&str, f64)])]) -> Services {
        let known = |(name, pods): &(&str, &[(&str, f64)])| {
            let pod =
                |(track, rate): &(&str, f64)| ((!track.is_empty()).then(|| (*track).to_owned()), load(*rate));
            (
                ("dev".to_owned(), (*name).to_owned()),
                Known {
                    pods: pods.iter().map(pod).collect(),
                },
            )
        };
        all.iter().map(known).collect()
    }

    fn route(weights: &[(&str, u32)]) -> BTreeMap<Router, Vec<Rule>> {
        let backends = weights.iter().map(|&(service, weight)| Backend {
            namespace: "dev".into(),
            service: service.into(),
            port: "80".into(),
            weight,
        });
        let router = Router {
            kind: "HTTPRoute",
            namespace: "dev".into(),
            name: "api".into(),
        };
        let rule = Rule {
            backends: backends.collect(),
        };
        BTreeMap::from([(router, vec![rule])])
    }

    fn told(flows: &[Flow]) -> Vec<(&str, &str, f64, usize)> {
        let tell = |flow: &'_ Flow| (flow.percent, flow.pods.len());
        flows
            .iter()
            .map(|flow| {
                (
                    flow.service.as_str(),
                    flow.backend.as_str(),
                    tell(flow).0,
                    tell(flow).1,
                )
            })
            .collect()
    }

    #[test]
    fn a_route_stands_for_its_backends_and_their_root() {
        let services = services(&[
            ("api", &[("blue", 0.0)]),
            ("api-blue", &[("blue", 0.0), ("blue", 0.0)]),
            ("api-green", &[("green", 50.0)]),
            ("web", &[("", 0.0)]),
        ]);
        let flows = flows(&route(&[("api-blue", 95), ("api-green", 5)]), &services);
        assert_eq!(
            told(&flows),
            [
                ("api", "api-blue", 95.0, 2),
                ("api", "api-green", 5.0, 1),
                ("web", "web", 100.0, 1)
            ]
        );
    }

    #[test]
    fn a_plain_service_sends_everything_to_the_pods_that_it_selects() {
        let services = services(&[
            (
                "api",
                &[("green", 0.0), ("green", 0.0), ("blue", 0.0), ("blue", 0.0)],
            ),
            ("api-blue", &[("blue", 0.0)]),
            ("api-green", &[("green", 0.0)]),
        ]);
        assert_eq!(
            told(&flows(&BTreeMap::new(), &services)),
            [("api", "api-blue", 50.0, 2), ("api", "api-green", 50.0, 2)]
        );
    }

    #[test]
    fn no_weight_is_no_flow_and_weight_without_pods_is_one() {
        let services = services(&[("api-blue", &[])]);
        let flows = flows(&route(&[("api-blue", 1), ("api-green", 0)]), &services);
        assert_eq!(told(&flows), [("api", "api-blue", 100.0, 0)]);
    }
}
