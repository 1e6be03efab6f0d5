//! A list of weighted backends, as a rule of an HTTPRoute and an action of an Ingress have it.

use super::{RouterFault, Routing, Shares, share};
use crate::tracks::{Track, Weights};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How an API writes such lists.
pub(super) struct Form<'f> {
    /// The object, for messages.
    pub object: String,
    /// The field with the list, for messages: `spec.rules[0].backendRefs`.
    pub field: String,
    /// The key that names the Service.
    pub key: &'static str,
    /// The weight of an entry that has none; none where it must have one.
    pub default: Option<u64>,
    /// The highest weight.
    pub highest: u64,
    /// How many entries there may be.
    pub most: usize,
    /// What an entry is called, and whether it is one of the governed Services.
    pub name: &'f dyn Fn(&Value) -> (String, bool),
}

impl Form<'_> {
    /// Each backend's part of what this list gives out.
    pub fn shares(&self, list: &[Value]) -> Result<Shares, RouterFault> {
        let mut weights: BTreeMap<String, u64> = BTreeMap::new();
        for (place, entry) in list.iter().enumerate() {
            let (name, is_ours) = (self.name)(entry);
            let weight = self.weight(place, entry)?;
            let known = weights.entry(name.clone()).or_default();
            *known = known.saturating_add(weight);
            if is_ours && self.count(list, &name) > 1 {
                return Err(self.twice(name));
            }
        }
        share::percent(&weights).ok_or_else(|| RouterFault::NoTraffic {
            object: self.object.clone(),
            field: self.field.clone(),
        })
    }

    /// The list with these weights; a Service that is missing is added beside the governed ones, as a copy of one of them
    /// (port, filters). Others stay as they are.
    pub fn with_weights(
        &self,
        routing: &Routing<'_>,
        list: &[Value],
        weights: Weights,
    ) -> Result<Vec<Value>, RouterFault> {
        let wanted = routing.weights_by_name(weights);
        let mut written: Vec<Value> = Vec::with_capacity(list.len() + 2);
        let mut after = 0;
        for entry in list {
            let (name, is_ours) = (self.name)(entry);
            let weight = wanted.get(&name).filter(|_| is_ours);
            written.push(weight.map_or_else(|| entry.clone(), |weight| set(entry, "weight", json!(weight))));
            if is_ours {
                after = written.len();
            }
            if is_ours && self.count(list, &name) > 1 {
                return Err(self.twice(name));
            }
        }
        for (place, name) in self.missing(routing, list, weights).into_iter().enumerate() {
            let weight = wanted.get(&name).copied().unwrap_or_default();
            let model = written
                .get(after.saturating_sub(1))
                .cloned()
                .unwrap_or_else(|| json!({}));
            let added = set(&set(&model, self.key, json!(name)), "weight", json!(weight));
            written.insert(after + place, added);
        }
        self.check_count(written.len())?;
        Ok(written)
    }

    /// Both tracks always; the root only where it is to have a weight.
    fn missing(&self, routing: &Routing<'_>, list: &[Value], weights: Weights) -> Vec<String> {
        let services = routing.services;
        let root = (weights.original > 0).then(|| services.root.clone());
        let tracks = [services.of(Track::Blue), services.of(Track::Green)];
        let wanted = root.into_iter().chain(tracks);
        wanted.filter(|name| self.count(list, name) == 0).collect()
    }

    fn count(&self, list: &[Value], name: &str) -> usize {
        let is_it = |entry: &&Value| {
            let (found, is_ours) = (self.name)(entry);
            is_ours && found == name
        };
        list.iter().filter(is_it).count()
    }

    fn check_count(&self, count: usize) -> Result<(), RouterFault> {
        if count <= self.most {
            return Ok(());
        }
        Err(RouterFault::TooMany {
            object: self.object.clone(),
            field: self.field.clone(),
            count,
            most: self.most,
        })
    }

    fn twice(&self, service: String) -> RouterFault {
        RouterFault::Twice {
            object: self.object.clone(),
            field: self.field.clone(),
            service,
        }
    }

    fn weight(&self, place: usize, entry: &Value) -> Result<u64, RouterFault> {
        let found = entry.get("weight").filter(|weight| !weight.is_null());
        let weight = found.map_or(self.default, Value::as_u64);
        weight
            .filter(|weight| *weight <= self.highest)
            .ok_or_else(|| RouterFault::Weight {
                object: self.object.clone(),
                field: format!("{}[{place}].weight", self.field),
                found: found.map_or_else(|| "missing".to_owned(), Value::to_string),
                most: self.highest,
            })
    }
}

/// The object with this field; what is no object becomes one.
fn set(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.as_object().cloned().unwrap_or_default();
    object.insert(key.to_owned(), value);
    Value::Object(object)
}
