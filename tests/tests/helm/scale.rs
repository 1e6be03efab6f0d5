//! A part of production's replicas.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use sluice_tests::World;
use sluice_tests::seen::until_live;
use sluice_tests::service::{Chart, Delivered, Options};

async fn replicas(service: &Delivered, environment: &str, name: &str) -> Result<i32> {
    let (client, namespace) = service.admin(environment).await?;
    let found = Api::<Deployment>::namespaced(client, &namespace)
        .get(name)
        .await?;
    found.spec.and_then(|spec| spec.replicas).context("no replicas")
}

/// Two environments of which the first has a fifth of the other.
fn fifth(options: Options) -> Options {
    Options {
        environments: 2,
        first: "scale = 0.2\n".into(),
        ..options
    }
}

#[tokio::test]
async fn a_chart_s_replicas_are_scaled_where_they_are_said() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let chart = Chart::own("several", "replicaCount: 6\nworkerCount: 1\n");
    let options = fifth(Options {
        helm: Some(Chart {
            workload: format!(
                "{}replicas = [\"replicaCount\", \"workerCount\"]\n",
                chart.workload
            ),
            ..chart
        }),
        ..Options::default()
    });
    let service = Delivered::new(&world, "helm-scale", &options).await?;
    service.deliver(&ana, 1).await?;
    until_live(&ana, &service.name, "staging", 1).await?;
    for (environment, api, worker) in [("dev", 2, 1), ("staging", 6, 1)] {
        let found = [
            replicas(&service, environment, "helm-scale-api").await?,
            replicas(&service, environment, "helm-scale-worker").await?,
        ];
        ensure!(found == [api, worker], "{environment}: {found:?}");
    }
    service.cleanup().await
}

#[tokio::test]
async fn replicas_that_no_value_says_are_refused() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = fifth(Options {
        helm: Some(Chart {
            workload: "image = \"image\"\nreplicas = [\"pods\"]\n".into(),
            ..Chart::own("hooks", "message: one\n")
        }),
        ..Options::default()
    });
    let service = Delivered::unapplied(&world, "helm-scale-none", &options).await?;
    let said = service.publish(&ana, &options).await?;
    ensure!(said.status != 0 && said.err.contains("pods"), "{said:?}");
    service.cleanup().await
}

#[tokio::test]
async fn a_deployment_s_replicas_are_scaled_and_an_autoscaler_s_bounds_too() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let plain = fifth(Options {
        replicas: 6,
        ..Options::default()
    });
    let service = Delivered::new(&world, "t-scale", &plain).await?;
    service.deliver(&ana, 1).await?;
    until_live(&ana, &service.name, "staging", 1).await?;
    ensure!(replicas(&service, "dev", "t-scale").await? == 2);
    ensure!(replicas(&service, "staging", "t-scale").await? == 6);
    service.cleanup().await?;

    let autoscaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: t-scale-auto}\nspec:\n  \
                      scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: t-scale-auto}\n  minReplicas: 4\n  \
                      maxReplicas: 11\n";
    let options = fifth(Options {
        environment: "manifests = [\"autoscaler.yaml\"]\n".into(),
        files: vec![("autoscaler.yaml".into(), autoscaler.into())],
        ..Options::default()
    });
    let service = Delivered::new(&world, "t-scale-auto", &options).await?;
    service.deliver(&ana, 1).await?;
    until_live(&ana, &service.name, "staging", 1).await?;
    for (environment, wanted) in [("dev", (Some(1), 3)), ("staging", (Some(4), 11))] {
        let (client, namespace) = service.admin(environment).await?;
        let found = Api::<HorizontalPodAutoscaler>::namespaced(client, &namespace)
            .get("t-scale-auto")
            .await?;
        let spec = found.spec;
        let bounds = (spec.min_replicas, spec.max_replicas);
        ensure!(bounds == wanted, "{environment}: {bounds:?}");
    }
    service.cleanup().await
}
