//! What writing a bundle would change.

use crate::error::ClusterError;
use crate::namespace::{FIELD_MANAGER, Namespace};
use crate::objects::stamped;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use sluice_domain::bundle::{Bundle, ConfigCopy, WorkloadBundle};
use sluice_domain::difference::{Change, Difference, compare, taken_over};
use sluice_domain::ids::Fence;
use sluice_domain::workload::WorkloadRef;
use std::collections::BTreeMap;

/// How often a Deployment that changes while it is compared is looked at.
const TRIES: u32 = 5;

impl Namespace {
    /// What [`Namespace::apply`] would change, object by object in the order in which it writes: copies of ConfigMaps that
    /// are not there yet, other objects, Deployments. Each is asked of the API server by a dry run of that very write, which
    /// the admission policy judges as well: so the fence must be above every object's.
    ///
    /// A Deployment is tried with the patch that replaces its template: a server-side apply would not show what that
    /// removes. One that would be refused has a note that says why.
    pub async fn bundle_differences(
        &self,
        bundle: &Bundle,
        fence: Fence,
    ) -> Result<Vec<Difference>, ClusterError> {
        let objects: Vec<Value> = bundle
            .objects
            .iter()
            .map(|object| stamped(object, fence))
            .collect();
        let autoscaled = self.autoscaled().await?;
        let copies = try_join_all(bundle.config_maps.iter().map(|copy| self.copy_difference(copy)));
        let deployments = bundle.deployments.iter().map(|wanted| {
            let is_autoscaled = autoscaled.contains(&WorkloadRef::from(wanted));
            self.deployment_difference(wanted, is_autoscaled, fence)
        });
        let (copies, others, deployments) = tokio::try_join!(
            copies,
            self.differences(&objects, &[], FIELD_MANAGER),
            try_join_all(deployments)
        )?;
        let copies = copies.into_iter().flatten();
        Ok(copies
            .chain(others)
            .chain(deployments.into_iter().flatten())
            .collect())
    }

    async fn copy_difference(&self, copy: &ConfigCopy) -> Result<Option<Difference>, ClusterError> {
        let found = self.config_map(&copy.name).await?;
        Ok(found
            .is_none()
            .then(|| self.difference_of("ConfigMap", &copy.name, Change::Create)))
    }

    async fn deployment_difference(
        &self,
        wanted: &WorkloadBundle,
        is_autoscaled: bool,
        fence: Fence,
    ) -> Result<Option<Difference>, ClusterError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let found = self.deployment(&wanted.name).await?;
            let change = found.as_ref().map_or(Change::Create, |_| Change::Change);
            let difference = self.difference_of("Deployment", &wanted.name, change);
            let written = self
                .try_deployment(wanted, is_autoscaled, fence, found.as_ref())
                .await?;
            let (found, written) = match (found, written) {
                (_, Err(why)) => {
                    return Ok(Some(Difference {
                        note: Some(format!("it would be refused: {why}")),
                        ..difference
                    }));
                }
                (Some(found), Ok(Some(written))) => (found, written),
                _ => return Ok(Some(difference)),
            };
            // Else somebody's write in between would be told as ours.
            if found.metadata.resource_version == written.metadata.resource_version || tries == TRIES {
                let (live, wanted) = (self.json_of(&found)?, self.json_of(&written)?);
                let fields = compare(&live, &wanted, is_autoscaled);
                let taken = taken_over(&live, &wanted, FIELD_MANAGER);
                let is_same = fields.is_empty() && taken.is_empty();
                return Ok((!is_same).then(|| Difference {
                    fields,
                    managers: taken.keys().cloned().collect(),
                    taken,
                    ..difference
                }));
            }
        }
    }

    fn json_of(&self, deployment: &Deployment) -> Result<Value, ClusterError> {
        serde_json::to_value(deployment).map_err(|error| ClusterError::Invalid {
            object: self.place_of("Deployment"),
            message: error.to_string(),
        })
    }

    fn difference_of(&self, kind: &str, name: &str, change: Change) -> Difference {
        Difference {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: Some(self.name().to_owned()),
            change,
            fields: Vec::new(),
            managers: Vec::new(),
            taken: BTreeMap::new(),
            note: None,
        }
    }
}
