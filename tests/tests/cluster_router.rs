//! Routers on a real API server, under RBAC and the fence policy. The Gateway's controller is the local cluster's simulation;
//! the load balancer of an Ingress is said by the test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kubernetes::identity::{address, clusters, with_role};
use kubernetes::{PATIENCE, Place, in_namespace};
use serde_json::{Value, json};
use sluice_cluster::{ClusterError, IngressAddress, Shifted};
use sluice_domain::ids::Fence;
use sluice_domain::pipeline::Router;
use sluice_domain::plan::FENCE_ANNOTATION;
use sluice_domain::router::{
    ListenerRule, LoadBalancer, RouterFault, RouterObservation, RouterVerdict, Target, TargetGroup,
};
use sluice_domain::tracks::{TRACK_LABEL, Track, TrackServices, Weights};
use sluice_local::faults::{Action, Held, Rule};
use sluice_tests::wait::until;

const ACTION: &str = "alb.ingress.kubernetes.io/actions.web";

fn services() -> TrackServices {
    TrackServices {
        root: "api".to_owned(),
    }
}

fn route_router() -> Router {
    Router::HttpRoute("web".to_owned())
}

fn alb() -> Router {
    Router::AlbIngress {
        ingress: "front".to_owned(),
        action: "web".to_owned(),
    }
}

fn green(weight: u32) -> Weights {
    Weights::split(Track::Green, weight)
}

/// A route that names the root alone. With `silent` the simulated controller leaves its status to the test.
fn route(silent: bool) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "web", "annotations": {"sluice.sim/silent": silent.to_string(), "somebody": "else"}},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["a.example.com"],
            "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "timeouts": {"request": "10s"},
                 "backendRefs": [{"name": "api", "port": 80}]},
                {"matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}], "backendRefs": [{"name": "docs", "port": 80}]},
            ],
        },
    })
}

fn service(name: &str, selector: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"port": 80}]}})
}

fn labels(track: Track) -> Value {
    json!({"app": "tracked", TRACK_LABEL: track})
}

trait Routed {
    async fn with_services(&self);
    fn routers(&self, router: &Router) -> Api<DynamicObject>;
    async fn object(&self, router: &Router) -> Value;
    async fn seen(&self, router: &Router) -> RouterObservation;
    async fn shift(&self, router: &Router, weights: Weights, fence: u64) -> Result<Shifted, ClusterError>;
    async fn hold_next(&self, rule: Rule) -> Held;
}

impl Routed for Place {
    /// The root, as it was before there were tracks, and the Services of both tracks.
    async fn with_services(&self) {
        self.create(service("api", json!({"app": "api"}))).await;
        for track in [Track::Blue, Track::Green] {
            self.create(service(&track.of("api"), labels(track))).await;
        }
    }

    fn routers(&self, router: &Router) -> Api<DynamicObject> {
        match router {
            Router::HttpRoute(_) => self.objects("gateway.networking.k8s.io", "v1", "HTTPRoute"),
            Router::AlbIngress { .. } => self.objects("networking.k8s.io", "v1", "Ingress"),
            Router::Service => self.objects("", "v1", "Service"),
        }
    }

    async fn object(&self, router: &Router) -> Value {
        let name = match router {
            Router::HttpRoute(name) | Router::AlbIngress { ingress: name, .. } => name.as_str(),
            Router::Service => "api",
        };
        serde_json::to_value(self.routers(router).get(name).await.unwrap()).unwrap()
    }

    async fn seen(&self, router: &Router) -> RouterObservation {
        self.sluice.router(router, &services()).await.unwrap()
    }

    async fn shift(&self, router: &Router, weights: Weights, fence: u64) -> Result<Shifted, ClusterError> {
        self.sluice
            .shift(router, &services(), weights, Fence(fence))
            .await
    }

    async fn hold_next(&self, rule: Rule) -> Held {
        self.local.faults().add(rule).await.unwrap();
        let here = format!("/namespaces/{}/", self.name);
        let held = until("a held call", PATIENCE, || async {
            let held = self.local.faults().held().await?;
            let mine = held.iter().find(|held| held.call.path.contains(&here));
            Ok(mine.cloned().ok_or_else(|| format!("{held:?}")))
        });
        held.await.unwrap()
    }
}

fn shifted(weights: Weights, written: bool) -> Shifted {
    Shifted {
        written,
        weights: Ok(weights),
    }
}

fn fault(told: Result<Shifted, ClusterError>) -> RouterFault {
    match told {
        Err(ClusterError::Router { source, .. }) => *source,
        other => panic!("{other:?}"),
    }
}

/// Without what the API server and its controllers write.
fn content(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| ["name", "namespace", "annotations", "labels"].contains(&key.as_str()));
    object["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove(FENCE_ANNOTATION);
    object.as_object_mut().unwrap().remove("status");
    object
}

#[tokio::test]
async fn weights_of_a_route_are_written_once_for_each_fence() {
    in_namespace(|place| async move {
        let router = route_router();
        place.with_services().await;
        place.create(route(true)).await;
        let before = place.object(&router).await;
        let seen = place.seen(&router).await;
        assert_eq!((seen.weights, seen.fence), (Ok(Weights::original()), Fence(0)));

        assert_eq!(place.shift(&router, green(5), 5).await.unwrap(), shifted(green(5), true));
        let after = place.object(&router).await;
        let mut wanted = content(before);
        let entry = |name: &str, weight: u32| json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight});
        wanted["spec"]["rules"][0]["backendRefs"] =
            json!([entry("api", 0), entry("api-blue", 95), entry("api-green", 5)]);
        assert_eq!(content(after.clone()), wanted, "every other field is as it was");

        assert_eq!(place.shift(&router, green(5), 5).await.unwrap(), shifted(green(5), false));
        assert_eq!(place.object(&router).await["metadata"], after["metadata"], "nothing was written again");
        match place.shift(&router, green(100), 4).await {
            Err(ClusterError::Preempted { seen, ours, .. }) => assert_eq!((seen, ours), (Fence(5), Fence(4))),
            other => panic!("{other:?}"),
        }
        assert_eq!(place.shift(&router, Weights::original(), 6).await.unwrap(), shifted(Weights::original(), true));
        let seen = place.seen(&router).await;
        assert_eq!((seen.weights, seen.fence), (Ok(Weights::original()), Fence(6)));
        assert_eq!(seen.meets, [("api".to_owned(), 100)].into());
        let writers = place.object(&router).await["metadata"]["managedFields"].clone();
        assert!(writers.as_array().unwrap().iter().any(|entry| entry["manager"] == "sluice"), "{writers}");
    })
    .await;
}

/// A zombie does not look before it writes: what stops it is the policy. And no right goes further than weights need.
#[tokio::test]
async fn the_policy_refuses_a_fence_that_is_not_above() {
    in_namespace(|place| async move {
        place.with_services().await;
        place.create(route(true)).await;
        place
            .create(ingress(&json!([{"serviceName": "api", "servicePort": 80}])))
            .await;
        for router in [route_router(), alb()] {
            place.shift(&router, green(5), 5).await.unwrap();
            let kind = if router == alb() {
                GroupVersionKind::gvk("networking.k8s.io", "v1", "Ingress")
            } else {
                GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute")
            };
            let member: Api<DynamicObject> =
                Api::namespaced_with(place.member.clone(), &place.name, &ApiResource::from_gvk(&kind));
            let before = place.object(&router).await;
            let name = before["metadata"]["name"].as_str().unwrap();
            let refused = |result: kube::Result<DynamicObject>| match result {
                Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
                other => panic!("{other:?}"),
            };
            for fence in [json!("5"), json!("4"), json!("x"), json!(null)] {
                let patch =
                    json!({"metadata": {"annotations": {FENCE_ANNOTATION: fence, "zombie": "was here"}}});
                refused(
                    member
                        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
                        .await,
                );
            }
            let inherits = json!({"metadata": {"annotations": {"zombie": "was here"}}});
            refused(
                member
                    .patch(name, &PatchParams::default(), &Patch::Merge(inherits))
                    .await,
            );
            let mut other = before.clone();
            other["metadata"] = json!({"name": "another", "annotations": {FENCE_ANNOTATION: "9"}});
            let other: DynamicObject = serde_json::from_value(other).unwrap();
            refused(member.create(&PostParams::default(), &other).await);
            let status = json!({"status": {}, "metadata": {"annotations": {FENCE_ANNOTATION: "9"}}});
            refused(
                member
                    .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
                    .await,
            );
            match member.delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
                _ => panic!("it was deleted"),
            }
            assert_eq!(place.object(&router).await, before);
            // A person is not hindered.
            let by_hand = json!({"metadata": {"annotations": {"person": "was here"}}});
            place
                .routers(&router)
                .patch(name, &PatchParams::default(), &Patch::Merge(by_hand))
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_route_stands_when_its_gateway_says_so_for_this_generation() {
    in_namespace(|place| async move {
        let router = route_router();
        place.with_services().await;
        place.create(service("docs", json!({"app": "docs"}))).await;
        place.create(route(false)).await;
        let stands = |place: std::sync::Arc<Place>| async move {
            until("the route's standing", PATIENCE, || async {
                let seen = place.seen(&route_router()).await;
                Ok(match seen.standing {
                    RouterVerdict::Pending(reason) => Err(reason),
                    other => Ok(other),
                })
            })
            .await
            .unwrap()
        };
        assert_eq!(stands(place.clone()).await, RouterVerdict::Accepted);

        // From now on nothing is said: the old answer is of an older generation.
        let silent = json!({"metadata": {"annotations": {"sluice.sim/silent": "true"}}});
        place.routers(&router).patch("web", &PatchParams::default(), &Patch::Merge(silent)).await.unwrap();
        place.shift(&router, green(100), 1).await.unwrap();
        let seen = place.seen(&router).await;
        assert_eq!(seen.weights, Ok(green(100)));
        assert!(seen.generation > 1, "{seen:?}");
        match seen.standing {
            RouterVerdict::Pending(reason) => assert!(reason.contains("for generation"), "{reason}"),
            other => panic!("{other:?}"),
        }
        let refusing = json!({"metadata": {"annotations": {"sluice.sim/silent": "false", "sluice.sim/unresolved": "true"}}});
        place.routers(&router).patch("web", &PatchParams::default(), &Patch::Merge(refusing)).await.unwrap();
        match stands(place.clone()).await {
            RouterVerdict::Refused(reason) => assert!(reason.contains("ResolvedRefs is False"), "{reason}"),
            other => panic!("{other:?}"),
        }
        let mended = json!({"metadata": {"annotations": {"sluice.sim/unresolved": "false"}}});
        place.routers(&router).patch("web", &PatchParams::default(), &Patch::Merge(mended)).await.unwrap();
        let accepted = until("acceptance", PATIENCE, || async {
            let seen = place.seen(&route_router()).await.standing;
            Ok(if seen == RouterVerdict::Accepted { Ok(()) } else { Err(format!("{seen:?}")) })
        });
        accepted.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    in_namespace(|place| async move {
        let router = route_router();
        let seen = place.seen(&router).await;
        assert_eq!(seen.weights, Err(RouterFault::Missing { object: "HTTPRoute web".into() }));
        assert_eq!(seen.root, Err(RouterFault::Missing { object: "Service api".into() }));
        assert!(matches!(&seen.standing, RouterVerdict::Refused(reason) if reason.contains("HTTPRoute web does not exist")));
        assert_eq!(seen.ready.values().sum::<u32>(), 0);
        let told = fault(place.shift(&router, green(5), 1).await);
        assert!(matches!(told, RouterFault::Missing { .. }), "{told:?}");
        let mut strange = route(true);
        strange["spec"]["rules"] = json!([{"backendRefs": [{"name": "docs", "port": 80}]}]);
        place.create(strange).await;
        let told = fault(place.shift(&router, green(5), 1).await);
        assert!(matches!(told, RouterFault::NotNamed { .. }), "{told:?}");
        assert!(place.shift(&router, green(5), 0).await.is_err(), "0 is no fence");
    })
    .await;
}

/// Somebody writes between our reading and our writing: neither change is lost.
#[tokio::test]
async fn a_change_in_the_same_moment_is_kept() {
    with_role(true, |place, role| async move {
        let router = route_router();
        let here = clusters(&place).connect(&address(&place, Some(&role))).await.unwrap();
        place.with_services().await;
        place.create(route(true)).await;
        let path = format!("/namespaces/{}/httproutes", place.name);
        let rule = Rule::kubernetes(&place.cluster.name, "PUT", &path).then(Action::HoldBefore);
        let of_us = services();
        let meddling = async {
            let held = place.hold_next(rule).await;
            let patch = json!([
                {"op": "add", "path": "/spec/hostnames/-", "value": "b.example.com"},
                {"op": "add", "path": "/spec/rules/0/timeouts/request", "value": "7s"},
                {"op": "add", "path": "/spec/rules/0/backendRefs/-", "value": {"name": "spare", "port": 80, "weight": 0}},
            ]);
            let patch: Patch<Value> = Patch::Json(serde_json::from_value(patch).unwrap());
            place.routers(&route_router()).patch("web", &PatchParams::default(), &patch).await.unwrap();
            place.local.faults().release(&held).await.unwrap();
        };
        let (told, ()) = tokio::join!(here.shift(&router, &of_us, green(25), Fence(1)), meddling);
        assert_eq!(told.unwrap(), shifted(green(25), true));
        let found = place.object(&router).await;
        assert_eq!(found["spec"]["hostnames"], json!(["a.example.com", "b.example.com"]));
        assert_eq!(found["spec"]["rules"][0]["timeouts"]["request"], "7s");
        let names: Vec<_> = found["spec"]["rules"][0]["backendRefs"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["api", "api-blue", "api-green", "spare"]);
    })
    .await;
}

/// A newer holder writes between our reading and our writing: we are told, and its weights stay.
#[tokio::test]
async fn a_newer_holder_in_the_same_moment_wins() {
    with_role(true, |place, role| async move {
        let router = route_router();
        let here = clusters(&place)
            .connect(&address(&place, Some(&role)))
            .await
            .unwrap();
        place.with_services().await;
        place.create(route(true)).await;
        let path = format!("/namespaces/{}/httproutes", place.name);
        let rule = Rule::kubernetes(&place.cluster.name, "PUT", &path).then(Action::HoldBefore);
        let of_us = services();
        let newer = async {
            let held = place.hold_next(rule).await;
            place
                .shift(&route_router(), Weights::split(Track::Blue, 100), 8)
                .await
                .unwrap();
            place.local.faults().release(&held).await.unwrap();
        };
        let (told, ()) = tokio::join!(here.shift(&router, &of_us, green(25), Fence(7)), newer);
        match told {
            Err(ClusterError::Preempted { seen, ours, .. }) => assert_eq!((seen, ours), (Fence(8), Fence(7))),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            place.seen(&router).await.weights,
            Ok(Weights::split(Track::Blue, 100))
        );
    })
    .await;
}

#[tokio::test]
async fn a_shift_whose_answer_is_lost_is_not_repeated() {
    with_role(true, |place, role| async move {
        let router = route_router();
        let here = clusters(&place)
            .connect(&address(&place, Some(&role)))
            .await
            .unwrap();
        place.with_services().await;
        place.create(route(true)).await;
        let of_us = services();
        for (fence, action, written) in [(2, Action::HoldAfter, false), (3, Action::HoldBefore, true)] {
            let path = format!("/namespaces/{}/httproutes", place.name);
            let rule = Rule::kubernetes(&place.cluster.name, "PUT", &path).then(action);
            let losing = async {
                let held = place.hold_next(rule).await;
                place.local.faults().drop_call(&held).await.unwrap();
            };
            let wanted = green(u32::try_from(fence).unwrap());
            let (lost, ()) = tokio::join!(here.shift(&router, &of_us, wanted, Fence(fence)), losing);
            assert!(lost.as_ref().is_err_and(ClusterError::is_transient), "{lost:?}");
            let again = here.shift(&router, &of_us, wanted, Fence(fence)).await.unwrap();
            assert_eq!(again, shifted(wanted, written));
        }
    })
    .await;
}

#[tokio::test]
async fn the_root_is_pointed_at_a_track_and_back() {
    in_namespace(|place| async move {
        place.with_services().await;
        let image = place.image(1, &[]).await;
        for (name, labels) in [
            ("api", json!({"app": "api"})),
            ("api-blue", labels(Track::Blue)),
            ("api-green", labels(Track::Green)),
        ] {
            place
                .create(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
                    "replicas": 2, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "api", "image": image}]}},
                }}))
                .await;
        }
        let stands = |wanted: Weights| {
            let place = place.clone();
            async move {
                until("the root's standing", PATIENCE, || async {
                    let seen = place.seen(&Router::Service).await;
                    assert_eq!((seen.weights.clone(), seen.root.clone()), (Ok(wanted), Ok(wanted)));
                    let ready = seen.ready.values().all(|count| *count == 2);
                    let is_so = ready && seen.standing == RouterVerdict::Accepted;
                    Ok(if is_so { Ok(seen) } else { Err(format!("{seen:?}")) })
                })
                .await
                .unwrap()
            }
        };
        stands(Weights::original()).await;
        let to = |track, fence| {
            let place = place.clone();
            async move { place.sluice.point(&services(), track, Fence(fence)).await }
        };
        assert_eq!(to(Some(Track::Blue), 3).await.unwrap(), shifted(Weights::split(Track::Blue, 100), true));
        let seen = stands(Weights::split(Track::Blue, 100)).await;
        assert_eq!((seen.fence, seen.root_fence), (Fence(3), Fence(3)));
        assert_eq!(place.object(&Router::Service).await["spec"]["selector"], labels(Track::Blue));
        assert_eq!(to(Some(Track::Blue), 3).await.unwrap(), shifted(Weights::split(Track::Blue, 100), false));
        assert!(matches!(to(Some(Track::Green), 2).await, Err(ClusterError::Preempted { .. })));
        assert_eq!(place.shift(&Router::Service, green(100), 4).await.unwrap(), shifted(green(100), true));
        stands(green(100)).await;
        assert_eq!(to(None, 5).await.unwrap(), shifted(Weights::original(), true));
        stands(Weights::original()).await;
        assert_eq!(place.object(&Router::Service).await["spec"]["selector"], json!({"app": "api"}));
        let told = fault(place.shift(&Router::Service, green(5), 6).await);
        assert!(matches!(told, RouterFault::NotWhole { .. }), "{told:?}");
    })
    .await;
}

fn ingress(groups: &Value) -> Value {
    let action = json!({"type": "forward", "forwardConfig": {"targetGroups": groups}}).to_string();
    let backend = json!({"service": {"name": "web", "port": {"name": "use-annotation"}}});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "front", "annotations": {ACTION: action, "somebody": "else"}},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})
}

#[tokio::test]
async fn an_action_of_an_ingress_is_shifted_and_stands_by_its_load_balancer() {
    in_namespace(|place| async move {
        place.with_services().await;
        place
            .create(ingress(&json!([{"serviceName": "api", "servicePort": 80}])))
            .await;
        let before = place.object(&alb()).await;
        assert_eq!(place.seen(&alb()).await.weights, Ok(Weights::original()));
        assert_eq!(
            place.shift(&alb(), green(5), 1).await.unwrap(),
            shifted(green(5), true)
        );
        assert_eq!(
            place.shift(&alb(), green(5), 1).await.unwrap(),
            shifted(green(5), false)
        );
        let mut after = place.object(&alb()).await;
        let action: Value =
            serde_json::from_str(after["metadata"]["annotations"][ACTION].as_str().unwrap()).unwrap();
        let group =
            |service: &str, weight: u32| json!({"serviceName": service, "servicePort": 80, "weight": weight});
        assert_eq!(
            action["forwardConfig"]["targetGroups"],
            json!([group("api", 0), group("api-blue", 95), group("api-green", 5)])
        );
        after["metadata"]["annotations"][ACTION] = before["metadata"]["annotations"][ACTION].clone();
        assert_eq!(content(after), content(before), "every other field is as it was");

        // Without an address nobody is asked; with one, what the load balancer says counts.
        let unasked = |_: IngressAddress| async { panic!("there is no address yet") };
        let seen = place
            .sluice
            .router_with::<ClusterError, _>(&alb(), &services(), unasked)
            .await
            .unwrap();
        assert!(matches!(seen.standing, RouterVerdict::Pending(_)), "{seen:?}");
        let address =
            json!({"status": {"loadBalancer": {"ingress": [{"hostname": "k8s-front-1.elb.amazonaws.com"}]}}});
        place
            .routers(&alb())
            .patch_status("front", &PatchParams::default(), &Patch::Merge(address))
            .await
            .unwrap();
        for (weights, wanted) in [((95, 5), true), ((100, 0), false)] {
            let says = load_balancer(&place.name, weights);
            let read = |asked: IngressAddress| async move {
                assert_eq!(asked.hostname, "k8s-front-1.elb.amazonaws.com");
                assert!(asked.ingress.ends_with("/front"), "{asked:?}");
                Ok::<_, Told>(Some(says))
            };
            let seen = place
                .sluice
                .router_with(&alb(), &services(), read)
                .await
                .map_err(|_| ())
                .unwrap();
            assert_eq!(seen.standing == RouterVerdict::Accepted, wanted, "{seen:?}");
        }
    })
    .await;
}

/// What a caller's own error is like.
#[derive(Debug)]
struct Told(#[allow(dead_code)] ClusterError);

impl From<ClusterError> for Told {
    fn from(error: ClusterError) -> Self {
        Self(error)
    }
}

fn load_balancer(namespace: &str, (blue, green): (u64, u64)) -> LoadBalancer {
    let group = |service: &str| TargetGroup {
        arn: format!("arn:{service}"),
        resource: Some(format!("{namespace}/front-{service}:80")),
        target_type: "ip".to_owned(),
        targets: vec![Target {
            id: "10.0.0.1:80".to_owned(),
            state: "healthy".to_owned(),
            reason: None,
        }],
    };
    LoadBalancer {
        name: "k8s-front".to_owned(),
        rules: vec![ListenerRule {
            name: "port 80, priority 1".to_owned(),
            weights: [
                ("arn:api".to_owned(), 0),
                ("arn:api-blue".to_owned(), blue),
                ("arn:api-green".to_owned(), green),
            ]
            .into(),
        }],
        target_groups: ["api", "api-blue", "api-green"].map(group).into(),
    }
}
