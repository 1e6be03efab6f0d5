//! A SIMULATION of the AWS Load Balancer Controller: it follows Ingresses of the class `alb` with load balancers, listeners,
//! rules and target groups in the local AWS, registers the addresses of ready pods, and writes the host into the
//! Ingress's status. No packet flows.
//!
//! Of each Service's port it keeps one target group, for as long as the Ingress names it. Compressed: a target is `initial`
//! for a quarter of a second (health checks take 30 s and more). Not simulated: target-type instance, TLS, groups of
//! Ingresses, finalizers, TargetGroupBindings, readiness gates.
//!
//! What it programmed last is kept in the ConfigMap `alb.<namespace>.<ingress>` of namespace `gateways`, written after AWS
//! took it, so that etcd's history has it in order.

mod deployed;
mod elb;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::faults::Faults;
use super::programmed::{Programmed, Router};
use super::seen::Seen;
use crate::routing::ingress::{self, Model};
use deployed::{Deployed, Found};
use elb::{Elb, Key, Stack};

/// The kind of its routers in [`Programmed`].
pub const KIND: &str = "Ingress";

const MANAGER: &str = "simulated-alb";
/// Where what it programmed is kept.
const RECORDS: &str = "gateways";
const INITIAL: Duration = Duration::from_millis(250);
const AGAIN: Duration = Duration::from_secs(1);

/// The controller.
pub struct Balancers {
    client: Client,
    seen: Seen,
    programmed: Programmed,
    elb: Elb,
    ingresses: BTreeMap<Stack, Followed>,
}

/// An Ingress that is followed.
#[derive(Default)]
struct Followed {
    deployed: Deployed,
    /// What it was like since when.
    since: Option<(Like, Instant)>,
    /// What was followed to its end last.
    done: Option<Like>,
    /// What was said last.
    told: Option<String>,
    record: Value,
}

/// What makes a difference to what is followed.
#[derive(Debug, Clone, PartialEq)]
struct Like {
    model: Result<Model, String>,
    attributes: String,
    faults: Result<Faults, String>,
}

impl Balancers {
    /// For one cluster, in the local AWS at this endpoint.
    pub fn new(
        client: Client,
        (seen, programmed): (Seen, Programmed),
        endpoint: &str,
        cluster: &str,
    ) -> Result<Self> {
        Ok(Self {
            elb: Elb::new(endpoint, cluster)?,
            client,
            seen,
            programmed,
            ingresses: BTreeMap::new(),
        })
    }

    /// Works until dropped.
    pub async fn run(mut self) -> Result<()> {
        let (mut changed, mut moved) = (self.seen.changed.clone(), self.seen.moved.clone());
        changed.mark_changed();
        let mut next = None;
        loop {
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = changed.changed() => heard.context("nothing is watched any more")?,
                heard = moved.changed() => heard.context("nothing is watched any more")?,
                () = due => {}
            }
            next = self.look().await;
        }
    }

    /// Follows everything; when to look again by itself.
    async fn look(&mut self) -> Option<Instant> {
        let known: BTreeMap<Stack, (Arc<Ingress>, Value)> = self
            .seen
            .ingresses
            .state()
            .into_iter()
            .filter_map(|one| {
                let whole = serde_json::to_value(&*one).ok()?;
                ingress::is_ours(&whole).then(|| (stack(&one), (one, whole)))
            })
            .collect();
        let gone: Vec<Stack> = self
            .ingresses
            .keys()
            .filter(|one| !known.contains_key(*one))
            .cloned()
            .collect();
        for stack in gone {
            self.forget(&stack).await;
        }
        let mut next: Option<Instant> = None;
        for (stack, (ingress, whole)) in known {
            let mut followed = self.ingresses.remove(&stack).unwrap_or_default();
            let again = match self.follow(&mut followed, &stack, &ingress, &whole).await {
                Ok(again) => again,
                Err(error) => {
                    tracing::warn!(%error, ingress = stack.name, "following an Ingress: trying again");
                    Some(Instant::now() + AGAIN)
                }
            };
            self.ingresses.insert(stack, followed);
            next = [next, again].into_iter().flatten().min();
        }
        next
    }

    async fn forget(&mut self, stack: &Stack) {
        let Some(followed) = self.ingresses.remove(stack) else {
            return;
        };
        let name = stack.name.clone();
        if let Err(error) = followed.deployed.delete(&self.elb).await {
            tracing::warn!(%error, ingress = name, "deleting a load balancer failed");
        }
        self.programmed
            .forget(KIND, |router| *router != self::router(stack));
        let records: Api<ConfigMap> = Api::namespaced(self.client.clone(), RECORDS);
        // There is none where nothing was programmed.
        let _ = records
            .delete(&record_name(stack), &DeleteParams::default())
            .await;
    }

    async fn follow(
        &self,
        followed: &mut Followed,
        stack: &Stack,
        ingress: &Ingress,
        whole: &Value,
    ) -> Result<Option<Instant>> {
        let like = self.like(ingress, whole, stack);
        let faults = like.faults.clone().unwrap_or_default();
        if faults.silent {
            return Ok(None);
        }
        let since = match &followed.since {
            Some((before, since)) if *before == like => *since,
            _ => Instant::now(),
        };
        followed.since = Some((like.clone(), since));
        let due = since + faults.lag;
        let mut next = (due > Instant::now()).then_some(due);
        if next.is_none() && followed.done.as_ref() != Some(&like) {
            let outcome = self.deploy(&mut followed.deployed, stack, &like).await;
            // What was asked to fail stays as it is; anything else is tried again.
            if outcome.is_ok() || faults.partial || faults.refuse.is_some() {
                followed.done = Some(like);
            } else {
                next = Some(Instant::now() + AGAIN);
            }
            self.tell(followed, ingress, outcome).await;
        }
        let found = self.found(&followed.deployed, stack, &faults);
        if followed.deployed.register(&self.elb, &found).await? {
            next = [next, Some(Instant::now() + INITIAL)].into_iter().flatten().min();
        }
        self.keep(followed, stack).await?;
        Ok(next)
    }

    fn like(&self, ingress: &Ingress, whole: &Value, stack: &Stack) -> Like {
        let attributes = "alb.ingress.kubernetes.io/target-group-attributes";
        Like {
            model: ingress::model(whole),
            attributes: ingress.annotations().get(attributes).cloned().unwrap_or_default(),
            faults: Faults::read(&[ingress.annotations(), &self.seen.annotations_of(&stack.namespace)]),
        }
    }

    /// What the controller says when it does not come to its end: reason and message of a warning.
    async fn deploy(
        &self,
        deployed: &mut Deployed,
        stack: &Stack,
        like: &Like,
    ) -> Result<(), (&'static str, String)> {
        let faults = like.faults.clone().map_err(|fault| ("FailedBuildModel", fault))?;
        let model = like.model.clone().map_err(|fault| ("FailedBuildModel", fault))?;
        for backend in model.rules.iter().flat_map(|routed| &routed.rule.backends) {
            if !self.seen.has_service(&stack.namespace, &backend.service) {
                let fault = format!("Service \"{}/{}\" not found", stack.namespace, backend.service);
                return Err(("FailedBuildModel", fault));
            }
        }
        if let Some(reason) = &faults.refuse {
            return Err(("FailedDeployModel", format!("refused on request: {reason}")));
        }
        let how = (like.attributes.as_str(), faults.partial);
        deployed
            .follow(&self.elb, stack, &model, how)
            .await
            .map_err(|error| ("FailedDeployModel", format!("{error:#}")))
    }

    /// Says on the Ingress what came of it, where that is new, and where it answers.
    async fn tell(
        &self,
        followed: &mut Followed,
        ingress: &Ingress,
        outcome: Result<(), (&'static str, String)>,
    ) {
        let (kind, reason, note) = match &outcome {
            Ok(()) => (
                EventType::Normal,
                "SuccessfullyReconciled",
                "Successfully reconciled",
            ),
            Err((reason, fault)) => (EventType::Warning, *reason, fault.as_str()),
        };
        if followed.told.as_deref() == Some(note) && outcome.is_err() {
            return;
        }
        followed.told = Some(note.to_owned());
        let event = Event {
            type_: kind,
            reason: reason.into(),
            note: Some(format!("{note} (simulated)")),
            action: "Reconcile".into(),
            secondary: None,
        };
        // A recorder counts events of one reason together, whatever their text: each gets one of its own.
        let reporter = Reporter {
            controller: "ingress".into(),
            instance: Some(MANAGER.into()),
        };
        let events = Recorder::new(self.client.clone(), reporter);
        if let Err(error) = events.publish(&event, &ingress.object_ref(&())).await {
            tracing::warn!(%error, "an event of an Ingress could not be written");
        }
        if let Some(balancer) = &followed.deployed.balancer {
            let namespace = ingress.namespace().unwrap_or_default();
            let api: Api<Ingress> = Api::namespaced(self.client.clone(), &namespace);
            let status = json!({"status": {"loadBalancer": {"ingress": [{"hostname": balancer.host}]}}});
            let written = api
                .patch_status(
                    &ingress.name_any(),
                    &PatchParams::default(),
                    &Patch::Merge(status),
                )
                .await;
            if let Err(error) = written {
                tracing::warn!(%error, "the status of an Ingress could not be written");
            }
        }
    }

    /// The addresses of the pods that are ready behind each target group, and whether health checks pass.
    fn found(&self, deployed: &Deployed, stack: &Stack, faults: &Faults) -> Found {
        let ready = |(service, _): &Key| -> BTreeMap<String, bool> {
            let healthy = !faults.unhealthy.iter().any(|one| one == "true" || one == service);
            let pods = self.seen.endpoints(&stack.namespace, service);
            let addresses = pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone());
            addresses.map(|address| (address, healthy)).collect()
        };
        deployed
            .groups
            .keys()
            .map(|key| (key.clone(), ready(key)))
            .collect()
    }

    /// Keeps what is programmed, where that changed.
    async fn keep(&self, followed: &mut Followed, stack: &Stack) -> Result<()> {
        let rules = followed.deployed.rules();
        let mut healthy: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for ((service, _), targets) in &followed.deployed.targets {
            let well = targets.iter().filter(|(_, said)| **said == Some(true));
            healthy
                .entry(service)
                .or_default()
                .extend(well.map(|(address, _)| address.as_str()));
        }
        let record = json!({"rules": rules, "healthy": healthy});
        if followed.deployed.balancer.is_none() || followed.record == record {
            return Ok(());
        }
        let records: Api<ConfigMap> = Api::namespaced(self.client.clone(), RECORDS);
        let name = record_name(stack);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                         "data": {"programmed": record.to_string()}});
        records
            .patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(map))
            .await?;
        self.programmed.serve(router(stack), rules);
        followed.record = record;
        Ok(())
    }
}

fn stack(ingress: &Ingress) -> Stack {
    Stack {
        namespace: ingress.namespace().unwrap_or_default(),
        name: ingress.name_any(),
    }
}

fn router(stack: &Stack) -> Router {
    Router {
        kind: KIND,
        namespace: stack.namespace.clone(),
        name: stack.name.clone(),
    }
}

fn record_name(stack: &Stack) -> String {
    format!("alb.{}.{}", stack.namespace, stack.name)
}
