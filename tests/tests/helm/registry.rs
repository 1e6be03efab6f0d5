//! Charts that lie in ECR.

use crate::delivery::{assert_pods, history};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_local::image::Image;
use sluice_tests::rows::{row, table};
use sluice_tests::seen::{until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::{Said, World};

/// A chart of `tests/charts` in the local ECR, pushed by the real helm: its digest.
async fn push(world: &World, chart: &str, repository: &str) -> Result<String> {
    let ecr = aws_sdk_ecr::Client::new(&world.config);
    let name = format!("{repository}/{chart}");
    ecr.create_repository().repository_name(&name).send().await?;
    let folder = std::env::temp_dir().join(format!("sluice-{}-{}", std::process::id(), repository));
    std::fs::create_dir_all(&folder)?;
    let from = sluice_tests::world::root().join("tests/charts").join(chart);
    let host = world.local.endpoint.trim_start_matches("http://");
    let (from, to) = (from.display().to_string(), format!("oci://{host}/{repository}"));
    let packed = format!("{chart}-1.0.0.tgz");
    for arguments in [vec!["package", &from], vec!["push", "--plain-http", &packed, &to]] {
        let output = tokio::process::Command::new(&world.local.helm)
            .args(arguments)
            .current_dir(&folder)
            .env("HELM_CACHE_HOME", folder.join("cache"))
            .env("HELM_CONFIG_HOME", folder.join("config"))
            .output()
            .await?;
        Said::of(&output).well()?;
    }
    std::fs::remove_dir_all(&folder)?;
    let found = ecr.describe_images().repository_name(&name).send().await?;
    let digest = found
        .image_details()
        .first()
        .and_then(|image| image.image_digest());
    digest.map(str::to_owned).context("the chart has no digest")
}

fn from(registry: &str, repository: &str, digest: &str) -> Options {
    Options {
        helm: Some(Chart {
            workload: format!("chart = \"oci://{registry}/{repository}@{digest}\"\nimage = \"image\"\n"),
            ..Chart::own("hooks", "message: from the registry\n")
        }),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_chart_in_ecr_is_installed_and_stays_when_it_is_gone_from_there() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    // Given a chart that the real helm pushed
    let digest = push(&world, "hooks", "h-oci").await?;
    let registry = world.local.registry_host();
    let service = Delivered::new(&world, "helm-oci", &from(&registry, "h-oci/hooks", &digest)).await?;
    // When releases are pushed, then it is what delivers them, and it is kept
    let first = service.deliver(&ana, 1).await?;
    assert_pods(&world, &service, "dev", &first.digest).await?;
    let live = row(&world, &service.name, "dev")
        .await?
        .live
        .context("nothing is live")?;
    let chart = table(&world)?
        .bundle(&live.bundle)
        .await?
        .helm
        .context("no helm")?
        .chart;
    ensure!(
        (chart.name.as_str(), chart.version.as_str()) == ("hooks", "1.0.0"),
        "{chart:?}"
    );
    let archive = table(&world)?.blob(&chart.archive.context("no archive")?).await?;
    ensure!(archive.starts_with(&[0x1f, 0x8b]), "no gzip");
    service.deliver(&ana, 2).await?;
    // When the chart is gone from the registry, and helm's history as well
    let ecr = aws_sdk_ecr::Client::new(&world.config);
    ecr.delete_repository()
        .repository_name("h-oci/hooks")
        .force(true)
        .send()
        .await?;
    let (client, namespace) = service.admin("dev").await?;
    let secrets = kube::Api::<k8s_openapi::api::core::v1::Secret>::namespaced(client, &namespace);
    secrets
        .delete(
            &format!("sh.helm.release.v1.{}.v1", service.name),
            &kube::api::DeleteParams::default(),
        )
        .await?;
    // Then a way back needs neither
    ana.run(&["rollback", &service.name, "dev"]).await?;
    until_live(&ana, &service.name, "dev", 1).await?;
    assert_pods(&world, &service, "dev", &first.digest).await?;
    let told = history(&service, "dev").await?;
    let latest = told
        .last()
        .and_then(|last| last.get("chart"))
        .and_then(Value::as_str);
    ensure!(latest == Some("hooks-1.0.0"), "{told:?}");
    // And a promotion says that it is gone
    service.push(&Image::new("helm-oci 3"), &["0000003"]).await?;
    let failed = until_state(&ana, &service.name, "dev", 3, "failed").await?;
    ensure!(failed.to_string().contains("h-oci/hooks"), "{failed}");
    service.cleanup().await
}

#[tokio::test]
async fn what_is_no_chart_of_ours_is_refused_with_what_would_be_right() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let registry = world.local.registry_host();
    let digest = push(&world, "job", "h-oci-other").await?;
    // One of another account, one that is not there, and an image
    let other = registry.replace(&world.local.account, "999999999999");
    let nothing = format!("sha256:{}", "0".repeat(64));
    let cases = [
        (
            "helm-oci-away",
            other.as_str(),
            "h-oci-other/job",
            digest.as_str(),
            registry.as_str(),
        ),
        (
            "helm-oci-none",
            registry.as_str(),
            "h-oci-other/job",
            nothing.as_str(),
            "is not in ECR",
        ),
    ];
    for (name, registry, repository, digest, words) in cases {
        let service = Delivered::new(&world, name, &from(registry, repository, digest)).await?;
        service.push(&Image::new(name), &["0000001"]).await?;
        let failed = until_state(&ana, name, "dev", 1, "failed").await?;
        let reason = failed.get("reason").and_then(Value::as_str).unwrap_or_default();
        ensure!(reason.contains(words), "{reason}");
        service.cleanup().await?;
    }
    let service = Delivered::unapplied(&world, "helm-oci-image", &Options::default()).await?;
    let image = service.push(&Image::new("helm-oci-image"), &["0000001"]).await?;
    service
        .apply(&ana, &from(&registry, "helm-oci-image", &image.digest))
        .await?;
    service
        .push(&Image::new("helm-oci-image 2"), &["0000002"])
        .await?;
    let failed = until_state(&ana, &service.name, "dev", 1, "failed").await?;
    ensure!(failed.to_string().contains("helm push"), "{failed}");
    service.cleanup().await
}
