//! Where an environment's objects are, and whether two environments could be in one place.

use super::{EnvironmentSpec, Principal};

/// A namespace of a cluster. Account and region are known only where the file says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Of the environment's role.
    pub account: Option<String>,
    pub region: Option<String>,
    pub cluster: String,
    pub namespace: String,
}

impl Target {
    pub(super) fn of(spec: &EnvironmentSpec) -> Self {
        let role = spec.role.as_deref().and_then(|arn| Principal::parse(arn).ok());
        Self {
            account: role
                .as_ref()
                .and_then(Principal::role_home)
                .map(|(_, account)| account.to_owned()),
            region: spec.region.clone(),
            cluster: spec.cluster.clone(),
            namespace: spec.namespace.clone(),
        }
    }

    /// Whether the two would be refused as one place. Without a role it is another account than any role's: clusters of
    /// one name in several accounts are common.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        self.account == other.account && self.could_be(other)
    }

    /// Whether nothing that the file says tells the two apart.
    pub(super) fn could_be(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, two: &Option<String>| match (one, two) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        self.cluster == other.cluster
            && self.namespace == other.namespace
            && same(&self.region, &other.region)
            && same(&self.account, &other.account)
    }
}
