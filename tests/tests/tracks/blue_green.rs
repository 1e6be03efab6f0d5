//! Blue-green: looked at on the idle track, then everything at once.

use crate::service::{ask_doubles, assert_pointed, history, object, options, replicas, route, routed};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sluice_domain::environment::Phase;
use sluice_local::image::Image;
use sluice_tests::outside::next_second;
use sluice_tests::rows::until_row;
use sluice_tests::seen::{PATIENCE, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::traffic::{History, RouterKind};
use sluice_tests::{Person, World};

/// Runs the release's image; what it does, the image's labels for `preview` say.
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: preview}\nspec:\n  template:\n    spec:\n      \
                   restartPolicy: Never\n      containers: [{name: preview, args: [preview]}]\n";

fn blue_green(router: &str) -> String {
    format!(
        "strategy = {{ blue_green = {{ router = {router}, preview = [{{ job = \"preview.yaml\", timeout = \"20s\" }}] }} }}\n"
    )
}

fn looked_at(router: &str) -> Options {
    Options {
        files: vec![("preview.yaml".to_owned(), JOB.to_owned())],
        ..options(&blue_green(router), 2)
    }
}

/// The first revision in which a router asks for anything of a backend that has as many ready endpoints.
fn asked(history: &History, kind: RouterKind, router: &str, backend: &str, ready: usize) -> Option<u64> {
    let found = history.moments.iter().find(|moment| {
        let meant = moment
            .routers
            .iter()
            .filter(|one| one.kind == kind && one.name == router);
        let mut shares = meant.flat_map(|one| &one.asked);
        shares.any(|share| share.backend == backend && share.percent > 0.0 && share.ready >= ready)
    });
    found.map(|moment| moment.revision)
}

/// Two releases, back to the first, and one that fails its preview.
async fn walked(world: &World, ana: &Person, service: &Delivered, kinds: &[RouterKind]) -> Result<()> {
    let name = &service.name;
    let (blue, green) = (format!("{name}-blue"), format!("{name}-green"));
    let first = service.deliver(ana, 1).await?;
    assert_pointed(service, "blue").await?;
    let second = service.deliver(ana, 2).await?;
    assert_pointed(service, "green").await?;
    // What it leaves is as large as it was, and gets the traffic back
    ensure!(replicas(service, &blue).await? == 2);
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(ana, name, "dev", 1).await?;
    assert_pointed(service, "blue").await?;
    // A preview that fails means no weight ever
    next_second().await?;
    let bad = Image::new(&format!("{name} bad")).label("sluice.sim/preview/exit-code", "3");
    let third = service.push(&bad, &["0000003"]).await?;
    let failed = until_state(ana, name, "dev", 3, "failed").await?;
    ensure!(failed.to_string().contains("preview preview: Job"), "{failed}");
    until_live(ana, name, "dev", 1).await?;
    assert_pointed(service, "blue").await?;

    let happened = history(world, service).await?;
    for kind in kinds {
        let course = happened.of(*kind, name)?;
        course.assert_no_dead_shift(|_| 2)?;
        course.assert_only(&[&first.digest, &second.digest])?;
        course.assert_weights_within(&green, &[0.0, 100.0])?;
        ensure!(
            course.walk(&green) == [0.0, 100.0, 0.0],
            "{:?}",
            course.walk(&green)
        );
    }
    // Each of them was behind the preview Service, ready, before it got anything
    let preview = happened.of(RouterKind::Service, &format!("{name}-preview"))?;
    for pushed in [&first, &second, &third] {
        ensure!(
            preview.digests().contains(&pushed.digest),
            "{:?}",
            preview.digests()
        );
    }
    let shown = asked(
        &happened,
        RouterKind::Service,
        &format!("{name}-preview"),
        &format!("{name}-preview-green"),
        2,
    )
    .context("green was never previewed")?;
    for kind in kinds {
        let given = asked(&happened, *kind, name, &green, 1).context("green never got anything")?;
        ensure!(
            shown < given,
            "previewed at {shown}, and given traffic at {given}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn by_the_services_own_selector_everything_moves_at_once() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-bg-svc";
    let service = Delivered::new(&world, name, &looked_at("\"service\"")).await?;
    walked(&world, &ana, &service, &[RouterKind::Service]).await?;
    service.cleanup().await
}

#[tokio::test]
async fn by_a_route_everything_moves_at_once_and_the_service_follows() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-bg-route";
    let router = format!("{{ http_route = \"{name}\" }}");
    let service = Delivered::new(&world, name, &looked_at(&router)).await?;
    route(&service, name).await?;
    walked(
        &world,
        &ana,
        &service,
        &[RouterKind::HttpRoute, RouterKind::Service],
    )
    .await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_service_that_is_the_router_itself_has_what_the_release_says_of_it() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-bg-port";
    let of = |port: u32| Options {
        exposed: false,
        manifests: format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, \
             ports: [{{port: 80, targetPort: {port}}}]}}\n"
        ),
        ..options("strategy = { blue_green = { router = \"service\" } }\n", 1)
    };
    let service = Delivered::new(&world, name, &of(8080)).await?;
    service.deliver(&ana, 1).await?;
    let target = || async {
        let found = object(&service, "", "v1", "Service", name).await?;
        let port = found.pointer("/spec/ports/0/targetPort").cloned();
        port.context("no port")
    };
    ensure!(target().await? == 8080);
    // When the next release's pods listen elsewhere, then the Service says so as it moves, and again on the way back
    service.apply(&ana, &of(9090)).await?;
    service.deliver(&ana, 2).await?;
    assert_pointed(&service, "green").await?;
    ensure!(target().await? == 9090);
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    ensure!(target().await? == 8080);
    let happened = history(&world, &service).await?;
    happened
        .of(RouterKind::Service, name)?
        .assert_no_dead_shift(|_| 1)?;
    service.cleanup().await
}

#[tokio::test]
async fn a_route_that_is_not_accepted_is_taken_back() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-refused";
    let router = format!("strategy = {{ blue_green = {{ router = {{ http_route = \"{name}\" }} }} }}\n");
    let service = routed(&world, name, &router, 2).await?;
    // Given a controller that takes its time
    ask_doubles(&service, json!({"sluice.sim/lag": "2s"})).await?;
    let first = service.deliver(&ana, 1).await?;
    ask_doubles(&service, json!({"sluice.sim/lag": null})).await?;
    for (release, fault, said) in [
        (2, "sluice.sim/refuse", "UnsupportedValue"),
        (3, "sluice.sim/unresolved", "BackendNotFound"),
    ] {
        // When it says no to a release, and yes again once it is asked to go back
        ask_doubles(&service, json!({fault: "true"})).await?;
        let image = Image::new(&format!("{name} {release}"));
        service.push(&image, &[&format!("{release:07x}")]).await?;
        until_row(&world, name, "dev", PATIENCE, |row| {
            let going = row
                .under_way()
                .is_some_and(|rollout| rollout.release.is_some_and(|one| one.0 == release));
            going
                && row
                    .rollout
                    .as_ref()
                    .is_some_and(|rollout| rollout.phase == Phase::Restoring)
        })
        .await?;
        ask_doubles(&service, json!({fault: null})).await?;
        // Then it fails for that, and the traffic is where it was
        let failed = until_state(&ana, name, "dev", u64::from(release), "failed").await?;
        ensure!(failed.to_string().contains(said), "{failed}");
        until_live(&ana, name, "dev", 1).await?;
        assert_pointed(&service, "blue").await?;
    }
    let happened = history(&world, &service).await?;
    happened
        .of(RouterKind::HttpRoute, name)?
        .assert_no_dead_shift(|_| 2)?;
    happened
        .of(RouterKind::Service, name)?
        .assert_only(&[&first.digest])?;
    service.cleanup().await
}
