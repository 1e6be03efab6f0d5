//! What the objects that route traffic say, read as the controllers that follow them read them. Pure.

pub mod http_route;
pub mod ingress;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One rule of a router: where the requests that it matches go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rule {
    /// By weight; those of weight 0 get nothing.
    pub backends: Vec<Backend>,
}

/// A Service that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// Its port as the rule names it, by number or name.
    pub port: String,
    /// In proportion to the sum of all weights of the rule.
    pub weight: u32,
}

impl Rule {
    /// Percent of the rule's requests that each Service gets, 0 to 100; all are 0 where every weight is 0.
    pub fn shares(&self) -> BTreeMap<&str, f64> {
        let total: u64 = self
            .backends
            .iter()
            .map(|backend| u64::from(backend.weight))
            .sum();
        let mut shares = BTreeMap::new();
        for backend in &self.backends {
            let share = if total == 0 {
                0.0
            } else {
                // Whole percents come out whole.
                f64::from(backend.weight) * 100.0 / total as f64
            };
            *shares.entry(backend.service.as_str()).or_default() += share;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn rule(weights: &[(&str, u32)]) -> Rule {
        let backend = |&(service, weight): &(&str, u32)| Backend {
            namespace: "dev".into(),
            service: service.into(),
            port: "80".into(),
            weight,
        };
        Rule {
            backends: weights.iter().map(backend).collect(),
        }
    }

    #[test]
    fn shares_are_percents_of_the_sum_of_weights() {
        for (weights, blue, green) in [
            (&[("blue", 95), ("green", 5)], 95.0, 5.0),
            (&[("blue", 1), ("green", 3)], 25.0, 75.0),
            (&[("blue", 0), ("green", 1)], 0.0, 100.0),
            (&[("blue", 0), ("green", 0)], 0.0, 0.0),
        ] {
            let rule = rule(weights);
            let shares = rule.shares();
            assert_eq!((shares["blue"], shares["green"]), (blue, green), "{weights:?}");
        }
    }

    #[test]
    fn a_service_that_is_named_twice_gets_both_weights() {
        let rule = rule(&[("blue", 1), ("blue", 1), ("green", 2)]);
        assert_eq!(rule.shares(), BTreeMap::from([("blue", 50.0), ("green", 50.0)]));
    }
}
