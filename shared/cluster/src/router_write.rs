//! Moving traffic: writing a router's weights, and what the root Service selects.
//!
//! The lists that hold weights are atomic (an HTTPRoute's rules) or text (an Ingress's annotation), so that a patch would write
//! over what somebody else changes in them in the same moment. So the whole object is replaced at the version that was read
//! (`resourceVersion`), and a conflict is read and worked out anew.

use crate::error::ClusterError;
use crate::fence::{Standing, fence_of};
use crate::namespace::{FIELD_MANAGER, Namespace};
use crate::objects::stamped;
use crate::router::resource_of;
use kube::Api;
use kube::api::PostParams;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;
use sluice_domain::ids::Fence;
use sluice_domain::pipeline::Router;
use sluice_domain::router::{RouterFault, Routing, Selector};
use sluice_domain::tracks::{Track, TrackServices, Weights};
use std::collections::BTreeMap;

/// How often an object that changes meanwhile is read and written anew.
const TRIES: u32 = 8;

/// What became of a shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shifted {
    /// Whether this call wrote it; an earlier try of the same decision had, where it did not.
    pub written: bool,
    /// What the object says now.
    pub weights: Result<Weights, RouterFault>,
}

/// What became of a write that the API server answered.
enum Answer {
    Done(Box<DynamicObject>),
    /// It was changed or deleted meanwhile.
    Again(String),
    /// The admission policy, RBAC or another admission controller said no.
    Forbidden(String),
}

/// What is to be written, and how it is called.
struct Shift<'a> {
    router: &'a Router,
    services: &'a TrackServices,
    weights: Weights,
    fence: Fence,
    label: String,
    resource: ApiResource,
    name: &'a str,
}

impl Namespace {
    /// Writes a router's weights under a fence, unless this decision has. What comes back is compared with what was written;
    /// whether it holds where requests come in is `router`'s to say. That the destination is ready is the caller's to know.
    pub async fn shift(
        &self,
        router: &Router,
        services: &TrackServices,
        weights: Weights,
        fence: Fence,
    ) -> Result<Shifted, ClusterError> {
        self.check_fence(fence)?;
        let (resource, name) = resource_of(router, services);
        let shift = Shift {
            router,
            services,
            weights,
            fence,
            label: format!("{} {name}", resource.kind),
            resource,
            name,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match Box::pin(self.try_shift(&shift)).await? {
                Ok(shifted) => return Ok(shifted),
                Err(message) if tries == TRIES => {
                    let object = self.place_of(&shift.label);
                    return Err(ClusterError::Conflict { object, message });
                }
                Err(_) => {}
            }
        }
    }

    /// Has the root Service select what a track's Service selects; with none, what it selected before there were tracks.
    pub async fn point(
        &self,
        services: &TrackServices,
        to: Option<Track>,
        fence: Fence,
    ) -> Result<Shifted, ClusterError> {
        let weights = to.map_or_else(Weights::original, |track| Weights::split(track, 100));
        self.shift(&Router::Service, services, weights, fence).await
    }

    /// The inner error is what was in the way: look again.
    async fn try_shift(&self, shift: &Shift<'_>) -> Result<Result<Shifted, String>, ClusterError> {
        let selectors = match shift.router {
            Router::Service => self.selectors_of(&self.track_services(shift.services).await?)?,
            _ => BTreeMap::new(),
        };
        let routing = shift.routing(&selectors);
        let found = self.router_object(shift.router, shift.services).await?;
        let found = found.map_err(|fault| self.router_error(&shift.label, fault))?;
        let object = self.to_json(&shift.label, &found)?;
        if self.standing(&shift.label, &found.metadata, shift.fence)? == Standing::Written {
            return Ok(Ok(already(&routing, &object)));
        }
        let wanted = routing.with_weights(&object, shift.weights);
        let wanted = wanted.map_err(|fault| self.router_error(&shift.label, fault))?;
        match self.replace(shift, stamped(&wanted, shift.fence)).await? {
            Answer::Again(message) => Ok(Err(message)),
            Answer::Done(written) => self.check_shifted(shift, &routing, &written).map(Ok),
            Answer::Forbidden(message) => self.refused(shift, &routing, message).await.map(Ok),
        }
    }

    /// A 403 of an object that has our fence: an earlier try got through.
    async fn refused(
        &self,
        shift: &Shift<'_>,
        routing: &Routing<'_>,
        message: String,
    ) -> Result<Shifted, ClusterError> {
        let found = self.router_object(shift.router, shift.services).await?;
        let found = found.map_err(|fault| self.router_error(&shift.label, fault))?;
        self.forbidden(&shift.label, Some(&found.metadata), shift.fence, message)?;
        Ok(already(routing, &self.to_json(&shift.label, &found)?))
    }

    async fn replace(&self, shift: &Shift<'_>, body: Value) -> Result<Answer, ClusterError> {
        let body: DynamicObject = serde_json::from_value(body).map_err(|error| ClusterError::Invalid {
            object: self.place_of(&shift.label),
            message: error.to_string(),
        })?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let send = |client| {
            let (parameters, body) = (&parameters, &body);
            async move {
                let api: Api<DynamicObject> = Api::namespaced_with(client, self.name(), &shift.resource);
                match api.replace(shift.name, parameters, body).await {
                    Ok(written) => Ok(Answer::Done(Box::new(written))),
                    Err(kube::Error::Api(status)) => match status.code {
                        403 => Ok(Answer::Forbidden(status.message)),
                        404 | 409 => Ok(Answer::Again(status.message)),
                        _ => Err(kube::Error::Api(status)),
                    },
                    Err(error) => Err(error),
                }
            }
        };
        self.ask(&shift.label, send).await
    }

    /// Never trust the 200: writing the same weights into what came back must change nothing.
    fn check_shifted(
        &self,
        shift: &Shift<'_>,
        routing: &Routing<'_>,
        written: &DynamicObject,
    ) -> Result<Shifted, ClusterError> {
        let altered = |message| ClusterError::Altered {
            object: self.place_of(&shift.label),
            message,
        };
        let seen = fence_of(&written.metadata);
        if seen != shift.fence {
            return Err(altered(format!("its fence is {seen}, not {}", shift.fence)));
        }
        let object = self.to_json(&shift.label, written)?;
        match routing.with_weights(&object, shift.weights) {
            Ok(again) if again == object => Ok(Shifted {
                written: true,
                weights: routing.weights(&object),
            }),
            Ok(_) => Err(altered("its weights are not those that were written".to_owned())),
            Err(fault) => Err(altered(fault.to_string())),
        }
    }

    fn router_error(&self, label: &str, source: RouterFault) -> ClusterError {
        ClusterError::Router {
            object: self.place_of(label),
            source: source.into(),
        }
    }
}

impl<'a> Shift<'a> {
    fn routing<'s>(&self, selectors: &'s BTreeMap<Track, Selector>) -> Routing<'s>
    where
        'a: 's,
    {
        Routing {
            router: self.router,
            services: self.services,
            selectors,
        }
    }
}

fn already(routing: &Routing<'_>, object: &Value) -> Shifted {
    Shifted {
        written: false,
        weights: routing.weights(object),
    }
}
