//! A SIMULATION of a Gateway controller, of the class `simulated`: it writes the statuses of its GatewayClass, its Gateways
//! and the HTTPRoutes that attach to them, and serves what it accepted last.
//!
//! A route that it refuses is served as it was accepted before. One whose backends do not all exist is accepted and
//! served all the same, with errors for the share of what is missing, as the Gateway API has it.

mod parents;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::faults::Faults;
use super::programmed::{Programmed, Router};
use super::seen::Seen;
use crate::routing::http_route::{self, ParentRef, ParentStatus, Spec};
use verdict::{Place, Verdict, attach, listeners, resolve};

/// What `spec.controllerName` of its GatewayClass says.
pub const CONTROLLER: &str = "sluice.dev/simulated-gateway";
/// The kind of its routers in [`Programmed`].
pub const KIND: &str = "HTTPRoute";

const MANAGER: &str = "simulated-gateway";
/// After a write that the API server did not take.
const AGAIN: Duration = Duration::from_millis(500);

/// The controller.
pub struct Gateways {
    client: Client,
    seen: Seen,
    programmed: Programmed,
    /// When each route was first seen as it is, for the lag of its answer.
    since: BTreeMap<Link, Since>,
}

/// A route by its UID, and the number of one of its parents.
type Link = (String, usize);

/// A generation, what is to go wrong with it, and since when both are so.
type Since = (i64, Result<Faults, String>, Instant);

/// One route and one of its parents, as they are now.
struct Attached {
    parent: ParentRef,
    index: usize,
    gateway: std::sync::Arc<DynamicObject>,
}

impl Gateways {
    /// For one cluster.
    pub fn new(client: Client, seen: Seen, programmed: Programmed) -> Self {
        Self {
            client,
            seen,
            programmed,
            since: BTreeMap::new(),
        }
    }

    /// Works until dropped.
    pub async fn run(mut self) -> Result<()> {
        let mut changed = self.seen.changed.clone();
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
                () = due => {}
            }
            next = self.look().await;
        }
    }

    /// Answers everything that is due; when to look again by itself.
    async fn look(&mut self) -> Option<Instant> {
        parents::answer(&self.client, &self.seen).await;
        let routes = self.seen.routes.state();
        let known: Vec<Router> = routes.iter().map(|route| router(route)).collect();
        self.programmed.forget(KIND, |router| known.contains(router));
        let mut next: Option<Instant> = None;
        for route in routes {
            let again = self.answer(&route).await;
            next = [next, again].into_iter().flatten().min();
        }
        next
    }

    /// Says of a route what is due; when to look at it again.
    async fn answer(&mut self, route: &DynamicObject) -> Option<Instant> {
        let whole = serde_json::to_value(route).unwrap_or_default();
        let (before, generation) = (http_route::parents(&whole), generation(route));
        let mut after: Vec<ParentStatus> = before
            .iter()
            .filter(|one| one.controller_name != CONTROLLER)
            .cloned()
            .collect();
        let mut next = None;
        for attached in self.attached(&whole, route) {
            let ours = before
                .iter()
                .find(|one| one.controller_name == CONTROLLER && one.parent_ref == attached.parent);
            let (said, due) = self.due(route, &whole, &attached);
            next = [next, due].into_iter().flatten().min();
            match said {
                Some(verdict) => after.push(entry(&attached.parent, &verdict, generation, ours)),
                None => after.extend(ours.cloned()),
            }
        }
        if after.iter().eq(before.iter()) {
            return next;
        }
        self.serve(route, &whole, &after);
        self.write(route, &after).await.err().map_or(next, |error| {
            tracing::warn!(%error, route = route.name_any(), "writing a route's status: trying again");
            Some(Instant::now() + AGAIN)
        })
    }

    /// The parents of a route that are Gateways of ours.
    fn attached(&self, whole: &Value, route: &DynamicObject) -> Vec<Attached> {
        let own = route.namespace().unwrap_or_default();
        let all = Spec::of(whole).parent_refs.into_iter().enumerate();
        let ours = all.filter_map(|(index, parent)| {
            let namespace = parent.namespace.as_deref().unwrap_or(&own);
            let gateway = self
                .seen
                .gateway(namespace, &parent.name)
                .filter(|_| parent.is_gateway())
                .filter(|gateway| parents::is_ours(&self.seen, gateway))?;
            Some(Attached {
                parent,
                index,
                gateway,
            })
        });
        ours.collect()
    }

    /// What is to be said of a route to one parent now, if anything, and when to look again.
    fn due(
        &mut self,
        route: &DynamicObject,
        whole: &Value,
        attached: &Attached,
    ) -> (Option<Verdict>, Option<Instant>) {
        let (namespace, generation) = (route.namespace().unwrap_or_default(), generation(route));
        let faults = Faults::read(&[
            route.annotations(),
            attached.gateway.annotations(),
            &self.seen.annotations_of(&namespace),
        ]);
        let lag = faults.as_ref().map(|faults| faults.lag).unwrap_or_default();
        let key = (route.uid().unwrap_or_default(), attached.index);
        let since = self
            .since
            .entry(key)
            .and_modify(|since| {
                if (since.0, &since.1) != (generation, &faults) {
                    *since = (generation, faults.clone(), Instant::now());
                }
            })
            .or_insert_with(|| (generation, faults.clone(), Instant::now()));
        let due = since.2 + lag;
        if due > Instant::now() {
            return (None, Some(due));
        }
        (self.judge(whole, &namespace, attached).with(&faults), None)
    }

    fn judge(&self, whole: &Value, namespace: &str, attached: &Attached) -> Verdict {
        let spec = Spec::of(whole);
        let labels = self
            .seen
            .namespaces
            .get(&ObjectRef::new(namespace))
            .map(|one| one.labels().clone())
            .unwrap_or_default();
        let place = Place {
            namespace,
            labels: &labels,
        };
        let gateway = attached.gateway.namespace().unwrap_or_default();
        let known = listeners(&attached.gateway.data);
        Verdict {
            accepted: attach(&attached.parent, &place, &gateway, &known),
            resolved: resolve(
                namespace,
                &spec.rules(namespace),
                &spec.other_kinds(),
                |service| self.seen.has_service(namespace, service),
            ),
        }
    }

    /// Serves a route as it is once one parent accepts it so.
    fn serve(&self, route: &DynamicObject, whole: &Value, said: &[ParentStatus]) {
        if http_route::accepted(said) == Some(generation(route)) {
            let namespace = route.namespace().unwrap_or_default();
            let rules = Spec::of(whole).rules(&namespace);
            self.programmed.serve(router(route), rules);
        }
    }

    /// Refused when the route has changed since: its change is heard of then.
    async fn write(&self, route: &DynamicObject, parents: &[ParentStatus]) -> kube::Result<()> {
        let resource = http_route::resource("HTTPRoute", "httproutes");
        let namespace = route.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &resource);
        let patch = json!({"metadata": {"resourceVersion": route.resource_version()},
                           "status": {"parents": parents}});
        ignore_lost(
            api.patch_status(&route.name_any(), &manager(), &Patch::Merge(patch))
                .await,
        )
    }
}

/// `status.parents[]` for one parent.
fn entry(parent: &ParentRef, said: &Verdict, generation: i64, before: Option<&ParentStatus>) -> ParentStatus {
    let before = before.map_or(&[][..], |before| &before.conditions);
    let now = format!("{:.0}", Timestamp::now());
    ParentStatus {
        parent_ref: parent.clone(),
        controller_name: CONTROLLER.into(),
        conditions: vec![
            said.accepted.condition("Accepted", generation, before, &now),
            said.resolved.condition("ResolvedRefs", generation, before, &now),
        ],
    }
}

fn router(route: &DynamicObject) -> Router {
    Router {
        kind: KIND,
        namespace: route.namespace().unwrap_or_default(),
        name: route.name_any(),
    }
}

fn generation(object: &DynamicObject) -> i64 {
    object.metadata.generation.unwrap_or_default()
}

fn manager() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    }
}

/// An object that is gone, or is another one by now, is heard of by itself.
fn ignore_lost<T>(written: kube::Result<T>) -> kube::Result<()> {
    match written {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other.map(|_| ()),
    }
}
