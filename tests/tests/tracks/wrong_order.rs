//! A cutover in the wrong order, as if Sluice had written it: the history of traffic has to find it.

use crate::service::{assert_traffic, history, merge, routed};
use anyhow::Result;
use serde_json::json;
use sluice_tests::World;
use sluice_tests::traffic::RouterKind;

#[tokio::test]
async fn weight_for_a_track_without_endpoints_is_found() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-wrong";
    let lines = format!("strategy = {{ blue_green = {{ router = {{ http_route = \"{name}\" }} }} }}\n");
    let service = routed(&world, name, &lines, 1).await?;
    // Given a release of which every write was in order
    let first = service.deliver(&ana, 1).await?;
    assert_traffic(&world, &service, &[&first.digest], &[0.0], "green").await?;
    // When somebody gives the other track weight before anything runs there
    let backend =
        |track: &str, weight: u32| json!({"name": format!("{name}-{track}"), "port": 80, "weight": weight});
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {"rules": [{"backendRefs": [backend("blue", 90), backend("green", 10)]}]}});
    merge(&service, "sluice", &route).await?;
    // Then that is what the history says, and of what the Service does nothing
    let happened = history(&world, &service).await?;
    let course = happened.of(RouterKind::HttpRoute, name)?;
    let fault = found(course.assert_no_dead_shift(|_| 1))?;
    anyhow::ensure!(
        fault.contains("tr-wrong-green was raised from 0 to 10 % with 0 ready endpoints")
            && fault.contains("by sluice"),
        "{fault}"
    );
    found(course.assert_no_dead_weight(|_| 1))?;
    found(course.assert_weights_within(&format!("{name}-green"), &[0.0, 100.0]))?;
    happened
        .of(RouterKind::Service, name)?
        .assert_no_dead_shift(|_| 1)?;
    // When the Service is pointed there too, then also that is found
    let root = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": format!("{name}-green"), "sluice.dev/track": "green"}}});
    merge(&service, "sluice", &root).await?;
    let happened = history(&world, &service).await?;
    let fault = found(
        happened
            .of(RouterKind::Service, name)?
            .assert_no_dead_shift(|_| 1),
    )?;
    anyhow::ensure!(fault.contains("with 0 ready endpoints"), "{fault}");
    service.cleanup().await
}

/// What an assertion that has to fail says.
fn found(asserted: Result<()>) -> Result<String> {
    match asserted {
        Ok(()) => anyhow::bail!("it was not found"),
        Err(fault) => Ok(fault.to_string()),
    }
}
