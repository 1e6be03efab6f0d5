//! What alarms do to a release that has traffic: an event says which one to read again, the sweep reads them each minute.
//!
//! Both come to the same end: a release that an alarm blames goes back by the same call of `roll-back`, once, however often and
//! in whatever order it is asked for.

mod asking;
mod watching;

pub use watching::Watching;

use sluice_aws::AwsPlace;
use sluice_domain::pipeline::EnvironmentSpec;

/// Where an environment's alarms are read.
pub fn place_of(spec: &EnvironmentSpec) -> AwsPlace {
    AwsPlace {
        region: spec.region.clone(),
        role: spec.role.clone(),
    }
}
