//! One Ingress's load balancer as it is in AWS, and how it becomes what the Ingress asks for.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::elb::{Balancer, Elb, Key, Stack};
use crate::routing::Rule;
use crate::routing::ingress::{Model, Routed};

/// What is in AWS for an Ingress.
#[derive(Debug, Default)]
pub struct Deployed {
    /// None before the first success.
    pub balancer: Option<Balancer>,
    /// ARN of each target group.
    pub groups: BTreeMap<Key, String>,
    /// The addresses that each group was told of, and whether they are healthy; none: nothing was said yet.
    pub targets: BTreeMap<Key, BTreeMap<String, Option<bool>>>,
    rules: Vec<(String, Routed)>,
    default: Option<Rule>,
}

/// What was found for a target group: addresses of ready pods, and whether health checks pass.
pub type Found = BTreeMap<Key, BTreeMap<String, bool>>;

impl Deployed {
    /// The rules that AWS has now.
    pub fn rules(&self) -> Vec<Rule> {
        let rules = self.rules.iter().map(|(_, routed)| routed.rule.clone());
        rules.chain(self.default.clone()).collect()
    }

    /// Makes AWS what the model says: target groups, then rules in order, then what nobody names any more goes. With
    /// `partial` it fails after the first rule that changed.
    pub async fn follow(
        &mut self,
        elb: &Elb,
        stack: &Stack,
        model: &Model,
        (attributes, partial): (&str, bool),
    ) -> Result<()> {
        if self.balancer.is_none() {
            self.balancer = Some(elb.create(stack).await?);
        }
        let listener = self
            .balancer
            .as_ref()
            .map(|one| one.listener.clone())
            .unwrap_or_default();
        for key in keys(model) {
            if let Entry::Vacant(place) = self.groups.entry(key) {
                let arn = elb.create_group(stack, place.key(), attributes).await?;
                place.insert(arn);
            }
        }
        let (defaults, matched): (Vec<&Routed>, Vec<&Routed>) =
            model.rules.iter().partition(|routed| routed.default);
        for (place, routed) in matched.iter().enumerate() {
            let changed = self.place(elb, stack, &listener, (place, routed)).await?;
            if changed && partial {
                anyhow::bail!("failed after the first rule that changed, on request");
            }
        }
        while self.rules.len() > matched.len() {
            let (arn, _) = self.rules.last().context("there are more")?;
            elb.delete_rule(arn).await?;
            self.rules.pop();
        }
        let default = defaults.first().map(|routed| routed.rule.clone());
        if default != self.default {
            elb.modify_default(&listener, default.as_ref(), &self.groups)
                .await?;
            self.default = default;
        }
        self.forget(elb, &keys(model)).await
    }

    /// Whether the rule at a place had to be changed.
    async fn place(
        &mut self,
        elb: &Elb,
        stack: &Stack,
        listener: &str,
        (place, routed): (usize, &Routed),
    ) -> Result<bool> {
        match self.rules.get_mut(place) {
            Some((_, there)) if there == routed => return Ok(false),
            Some((arn, there)) => {
                elb.modify_rule(arn, routed, &self.groups).await?;
                *there = routed.clone();
            }
            None => {
                let arn = elb
                    .create_rule(stack, listener, place + 1, (routed, &self.groups))
                    .await?;
                self.rules.push((arn, routed.clone()));
            }
        }
        Ok(true)
    }

    async fn forget(&mut self, elb: &Elb, named: &BTreeSet<Key>) -> Result<()> {
        let unnamed: Vec<Key> = self
            .groups
            .keys()
            .filter(|key| !named.contains(*key))
            .cloned()
            .collect();
        for key in unnamed {
            if let Some(arn) = self.groups.get(&key) {
                elb.delete_group(arn).await?;
            }
            self.groups.remove(&key);
            self.targets.remove(&key);
        }
        Ok(())
    }

    /// Registers what was found and is new, deregisters what is gone, and says the health of what was registered before
    /// this: a target is `initial` for a while. Whether there is more to say.
    pub async fn register(&mut self, elb: &Elb, found: &Found) -> Result<bool> {
        let mut more = false;
        for (key, arn) in &self.groups {
            let known = self.targets.entry(key.clone()).or_default();
            let empty = BTreeMap::new();
            let ready = found.get(key).unwrap_or(&empty);
            let old: Vec<String> = known
                .keys()
                .filter(|one| !ready.contains_key(*one))
                .cloned()
                .collect();
            elb.register(arn, &old.iter().map(String::as_str).collect::<Vec<_>>(), false)
                .await?;
            known.retain(|address, _| ready.contains_key(address));
            for healthy in [true, false] {
                let told: Vec<&str> = known
                    .iter()
                    .filter(|(address, said)| {
                        **said != Some(healthy) && ready.get(*address) == Some(&healthy)
                    })
                    .map(|(address, _)| address.as_str())
                    .collect();
                elb.say_health(arn, &told, healthy).await?;
            }
            for (address, said) in known.iter_mut() {
                *said = ready.get(address).copied();
            }
            let new: Vec<&str> = ready
                .keys()
                .map(String::as_str)
                .filter(|one| !known.contains_key(*one))
                .collect();
            elb.register(arn, &new, true).await?;
            more |= !new.is_empty();
            known.extend(new.into_iter().map(|address| (address.to_owned(), None)));
        }
        Ok(more)
    }

    /// Takes everything away.
    pub async fn delete(mut self, elb: &Elb) -> Result<()> {
        if let Some(balancer) = &self.balancer {
            elb.delete(balancer).await?;
        }
        self.rules.clear();
        self.forget(elb, &BTreeSet::new()).await
    }
}

/// The target groups that a model names.
fn keys(model: &Model) -> BTreeSet<Key> {
    let backends = model.rules.iter().flat_map(|routed| &routed.rule.backends);
    backends
        .map(|one| (one.service.clone(), one.port.clone()))
        .collect()
}
