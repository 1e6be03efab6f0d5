//! The chart: packed by `sluice apply`, or fetched from ECR by its digest and kept.

use crate::handler::Tools;
use crate::site::Site;
use sluice_domain::ids::{Digest, Hash, Repository};
use sluice_domain::pipeline::{ChartSource, HelmWorkload};
use sluice_domain::release::Release;
use sluice_lambda::Failure;

/// The stored archive of the chart. What was in ECR once is never needed from there again: a way back goes by the blob.
pub(crate) async fn archive(
    tools: &Tools,
    site: &Site<'_>,
    workload: &HelmWorkload,
    release: &Release,
) -> Result<Hash, Failure> {
    match (&workload.chart, &site.package.chart) {
        (_, Some(chart)) => Ok(chart.archive.clone()),
        (ChartSource::Path(path), None) => {
            Err(Failure::internal(format!("the chart {path} was not packaged")))
        }
        (ChartSource::Oci { repository, digest }, None) => {
            let name = own_repository(repository, digest, &release.uri)?;
            let chart = tools.backends.registry.chart(&name, digest).await?;
            let chart = chart.ok_or_else(|| {
                Failure::refused(format!(
                    "the chart oci://{repository}@{digest} is not in ECR: push it again, or name another digest"
                ))
            })?;
            Ok(tools.backends.table.put_blob(&chart.archive).await?)
        }
    }
}

/// The repository's name, where it is in the registry that the release's image is in: Sluice's own account and region.
fn own_repository(repository: &str, digest: &Digest, image: &str) -> Result<Repository, Failure> {
    let own = image.split('/').next().unwrap_or_default();
    let (registry, name) = repository.split_once('/').unwrap_or_default();
    if registry != own {
        return Err(Failure::refused(format!(
            "the chart oci://{repository} is in another registry than the images, {own}: Sluice reads charts of its own account \
             and region. Replicate or push it there, and say chart = \"oci://{own}/{name}@{digest}\""
        )));
    }
    Repository::parse(name).map_err(|error| Failure::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_chart_is_in_the_registry_of_the_images() {
        let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
        let image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api";
        let own = own_repository(
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts/api",
            &digest,
            image,
        );
        assert_eq!(own.unwrap().as_str(), "charts/api");
        for other in [
            "999999999999.dkr.ecr.eu-west-1.amazonaws.com/charts/api",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/charts/api",
            "",
        ] {
            let said = own_repository(other, &digest, image).unwrap_err().to_string();
            assert!(
                said.contains("oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/"),
                "{said}"
            );
        }
    }
}
