//! Where an alarm is: an environment's alarms are in its own account and region.

use crate::pipeline::{EnvironmentSpec, Pipeline};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// An account and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlarmHome {
    /// 12 digits.
    pub account: String,
    /// `eu-west-1`.
    pub region: String,
}

/// An alarm, as it is known beyond its account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlarmId {
    /// Where it is.
    #[serde(flatten)]
    pub home: AlarmHome,
    /// Its name.
    pub name: String,
}

impl AlarmHome {
    /// Where the environment's alarms are, where Sluice itself is in `ours`: the account of the environment's role, and its
    /// region.
    pub fn of(spec: &EnvironmentSpec, ours: &Self) -> Self {
        let role = spec.role.as_deref().and_then(|arn| arn.split(':').nth(4));
        let account = role.filter(|account| !account.is_empty());
        Self {
            account: account.unwrap_or(&ours.account).to_owned(),
            region: spec.region.as_ref().unwrap_or(&ours.region).clone(),
        }
    }
}

/// `mc-api-5xx in eu-west-1 of 123456789012`
impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} of {}",
            self.name, self.home.region, self.home.account
        )
    }
}

/// Every alarm that a pipeline names.
pub fn alarms_of(pipeline: &Pipeline, ours: &AlarmHome) -> BTreeSet<AlarmId> {
    let of_environment = |spec: &EnvironmentSpec| {
        let home = AlarmHome::of(spec, ours);
        let id = |name: &String| AlarmId {
            home: home.clone(),
            name: name.clone(),
        };
        spec.alarms.iter().map(id).collect::<Vec<_>>()
    };
    pipeline.environments.iter().flat_map(of_environment).collect()
}
