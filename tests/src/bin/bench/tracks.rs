//! Two tracks: a call, or an alarm, to the weights back and accepted. What no tool can beat here is one PATCH of such a route on
//! the same API server, and a watch until its controller says yes.

use crate::deployment::roll_back;
use crate::times::{Times, head, met};
use crate::watching::until;
use anyhow::{Context, Result, ensure};
use aws_sdk_cloudwatch::types::StateValue;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use sluice_local::image::Image;
use sluice_tests::alarms::Alarm;
use sluice_tests::outside::{calls, executions, next_second, transitions};
use sluice_tests::rows::until_row;
use sluice_tests::seen::until_live;
use sluice_tests::service::{Delivered, Options};
use sluice_tests::{Person, World};
use std::time::{Duration, Instant};

/// Of each way back.
const ROUNDS: usize = 30;
const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "bench-tracks";
const FLOOR: &str = "floor";
/// Step Functions, standard workflows, us-east-1: dollars for a transition beyond the free ones.
const TRANSITION: f64 = 0.000_025;

/// Prints how fast traffic comes back to a track that is warm, and what a canary costs.
pub async fn speed(world: &World) -> Result<()> {
    let ana = world.person("ana").await?;
    let alarm = Alarm::put(world, "bench-tracks-5xx", NAME, "notBreaching").await?;
    let options = options(&format!(
        "strategy = {{ blue_green = {{ router = {{ http_route = \"{NAME}\" }} }} }}\nalarms = [\"{}\"]\nwatch = \"10m\"\n",
        alarm.name
    ));
    let service = Delivered::unapplied(world, NAME, &options).await?;
    let outcome = rounds(world, &ana, &service, &alarm, &options).await;
    service.cleanup().await?;
    alarm.delete().await?;
    outcome?;
    canary(world, &ana).await
}

fn options(environment: &str) -> Options {
    Options {
        exposed: true,
        replicas: 3,
        environment: environment.to_owned(),
        ..Options::default()
    }
}

async fn rounds(
    world: &World,
    ana: &Person,
    service: &Delivered,
    alarm: &Alarm,
    options: &Options,
) -> Result<()> {
    let routes = routes(service).await?;
    make_route(&routes, NAME, &[(NAME, 1)]).await?;
    service.apply(ana, options).await?;
    deliver(world, ana, service, 1).await?;
    // Two Services that are there: what the floor's weights share out.
    let (blue, green) = (format!("{NAME}-blue"), format!("{NAME}-green"));
    make_route(&routes, FLOOR, &[(&blue, 100), (&green, 0)]).await?;
    let (mut warm, mut alarmed, mut floor) = (Times::default(), Times::default(), Times::default());
    for round in 1..=ROUNDS {
        for way in [Way::Call, Way::Alarm] {
            let release = 2 * round as u64 + u64::from(way == Way::Alarm);
            deliver(world, ana, service, release).await?;
            let started = match way {
                Way::Call => {
                    let started = Instant::now();
                    roll_back(world, service).await?;
                    started
                }
                Way::Alarm => {
                    alarm.set(StateValue::Alarm).await?;
                    Instant::now()
                }
            };
            until_served(&routes, NAME, &blue).await?;
            match way {
                Way::Call => warm.add(started),
                Way::Alarm => alarmed.add(started),
            }
            until_live(ana, NAME, "dev", 1).await?;
            alarm.until(StateValue::Ok).await?;
        }
        let to = if round % 2 == 1 { &green } else { &blue };
        let weight = |name: &String| u32::from(name == to) * 100;
        let started = Instant::now();
        make_route(
            &routes,
            FLOOR,
            &[(&blue, weight(&blue)), (&green, weight(&green))],
        )
        .await?;
        until_served(&routes, FLOOR, to).await?;
        floor.add(started);
    }
    head(&format!(
        "seconds, {ROUNDS} rounds, two tracks of 3 pods, HTTPRoute"
    ));
    warm.show("rollback called -> weights back and accepted, warm");
    alarmed.show("alarm turned -> weights back and accepted, warm");
    floor.show("floor: PATCH of a route -> accepted, same API server");
    let allowed = 1.5 * floor.median() + 0.3;
    println!(
        "warm rollback: {:.3} s, goal 1.5 x floor + 0.3 s = {allowed:.3} s: {}",
        warm.median(),
        met(warm.median() <= allowed)
    );
    let ours = alarmed.median() - floor.median();
    println!(
        "alarm -> back: {ours:.3} s without the floor, goal 1 s of our own: {}",
        met(ours < 1.0)
    );
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Call,
    Alarm,
}

/// Pushes a release, and waits until nothing is left to do for it.
async fn deliver(world: &World, ana: &Person, service: &Delivered, number: u64) -> Result<()> {
    // ECR knows seconds: a push in the second of a rollback's hold is none that comes after it.
    next_second().await?;
    let image = Image::new(&format!("{} {number}", service.name));
    service.push(&image, &[&format!("{number:07x}")]).await?;
    until_live(ana, &service.name, "dev", number).await?;
    until_row(world, &service.name, "dev", LIMIT, |row| row.lease.is_none()).await?;
    Ok(())
}

/// A canary by three steps: its transitions, what they cost, and what it asks of the API server.
async fn canary(world: &World, ana: &Person) -> Result<()> {
    let name = "bench-canary";
    let steps =
        "{ weight = 5, bake = \"10s\" }, { weight = 25, bake = \"10s\" }, { weight = 50, bake = \"10s\" }";
    let options = options(&format!(
        "strategy = {{ canary = {{ router = {{ http_route = \"{name}\" }}, steps = [{steps}] }} }}\n"
    ));
    let service = Delivered::unapplied(world, name, &options).await?;
    let outcome = async {
        make_route(&routes(&service).await?, name, &[(name, 1)]).await?;
        service.apply(ana, &options).await?;
        deliver(world, ana, &service, 1).await?;
        let before = calls(world, |call| is_of(call, &service))?;
        deliver(world, ana, &service, 2).await?;
        let asked = calls(world, |call| is_of(call, &service))? - before;
        let found = executions(world, "promotion", &format!("{name}-2-dev-")).await?;
        let (execution, status) = found.first().context("no execution of #2")?;
        ensure!(status == "SUCCEEDED", "{execution}: {status}");
        let transitions = transitions(world, "promotion", execution).await?;
        println!(
            "\na canary of three steps: {transitions} transitions, {:.4} dollars at list price; goal 60: {}",
            transitions as f64 * TRANSITION,
            met(transitions <= 60)
        );
        println!("the same: {asked} requests of its functions to the API server");
        Ok(())
    }
    .await;
    service.cleanup().await?;
    outcome
}

/// Whether a recorded call is one of a function to this service's namespace.
fn is_of(call: &Value, service: &Delivered) -> bool {
    let text = |field: &str| call.get(field).and_then(Value::as_str).unwrap_or_default();
    let namespace = service
        .places
        .first()
        .map(|place| format!("/namespaces/{}/", place.namespace));
    !text("function").is_empty()
        && namespace.is_some_and(|namespace| format!("{}/", text("path")).contains(&namespace))
}

async fn routes(service: &Delivered) -> Result<Api<DynamicObject>> {
    let (client, namespace) = service.admin("dev").await?;
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    Ok(Api::namespaced_with(
        client,
        &namespace,
        &ApiResource::from_gvk(&kind),
    ))
}

async fn make_route(routes: &Api<DynamicObject>, name: &str, weights: &[(&str, u32)]) -> Result<()> {
    let backends: Vec<Value> = weights
        .iter()
        .map(|(name, weight)| json!({"name": name, "port": 80, "weight": weight}))
        .collect();
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": "public", "namespace": "gateways"}], "rules": [{"backendRefs": backends}]}
    });
    let parameters = PatchParams::apply("bench").force();
    routes.patch(name, &parameters, &Patch::Apply(&route)).await?;
    Ok(())
}

/// Waits until the route gives everything to this backend and its controller says so.
async fn until_served(routes: &Api<DynamicObject>, name: &str, backend: &str) -> Result<()> {
    until(routes, name, |route| served(route, backend))
        .await
        .with_context(|| format!("everything to {backend}"))
}

fn served(route: &DynamicObject, backend: &str) -> bool {
    let backends = route
        .data
        .pointer("/spec/rules/0/backendRefs")
        .and_then(Value::as_array);
    let all = backends.is_some_and(|backends| {
        backends.iter().all(|one| {
            let weight = one.get("weight").and_then(Value::as_i64).unwrap_or(1);
            (weight > 0) == (one.get("name").and_then(Value::as_str) == Some(backend))
        })
    });
    let conditions = route
        .data
        .pointer("/status/parents/0/conditions")
        .and_then(Value::as_array);
    let is_true = |kind: &str| {
        conditions.is_some_and(|conditions| {
            conditions.iter().any(|one| {
                one.get("type").and_then(Value::as_str) == Some(kind)
                    && one.get("status").and_then(Value::as_str) == Some("True")
                    && one.get("observedGeneration").and_then(Value::as_i64) == route.metadata.generation
            })
        })
    };
    all && is_true("Accepted") && is_true("ResolvedRefs")
}
