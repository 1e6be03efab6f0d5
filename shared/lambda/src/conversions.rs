//! From each adapter's errors to the closed set of names. Exhaustive: a new error must be given a name here.

use crate::failure::{ErrorName, Failure};
use sluice_cluster::ClusterError;
use sluice_domain::ids::IdError;
use sluice_executions::{ExecutionsError, MachineArnError};
use sluice_registry::RegistryError;
use sluice_table::TableError;

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        let name = match &error {
            TableError::Conflict { .. } => ErrorName::Conflict,
            TableError::Throttled { .. } | TableError::Unavailable { .. } => ErrorName::Transient,
            TableError::Denied { .. } | TableError::Refused { .. } => ErrorName::Refused,
            TableError::TooLarge { .. } => ErrorName::Invalid,
            TableError::Corrupt { .. } | TableError::Missing { .. } => ErrorName::Internal,
        };
        Self::from_error(name, error)
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let name = match &error {
            RegistryError::Unavailable { .. } => ErrorName::Transient,
            RegistryError::Denied { .. }
            | RegistryError::Refused { .. }
            | RegistryError::NoRepository { .. }
            | RegistryError::ChildMissing { .. }
            | RegistryError::NotPullable { .. }
            | RegistryError::WrongContent { .. } => ErrorName::Refused,
            RegistryError::Malformed { .. } => ErrorName::Invalid,
        };
        Self::from_error(name, error)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let name = match &error {
            ClusterError::Unreachable { .. }
            | ClusterError::Throttled { .. }
            | ClusterError::Unavailable { .. }
            | ClusterError::Conflict { .. } => ErrorName::Transient,
            ClusterError::Preempted { .. } => ErrorName::Preempted,
            ClusterError::Unauthorized { .. }
            | ClusterError::Refused { .. }
            | ClusterError::Invalid { .. }
            | ClusterError::Missing { .. }
            | ClusterError::Router { .. }
            | ClusterError::Altered { .. } => ErrorName::Refused,
        };
        Self::from_error(name, error)
    }
}

impl From<ExecutionsError> for Failure {
    fn from(error: ExecutionsError) -> Self {
        let name = match &error {
            ExecutionsError::Unavailable { .. } => ErrorName::Transient,
            ExecutionsError::Denied { .. } | ExecutionsError::Refused { .. } => ErrorName::Refused,
        };
        Self::from_error(name, error)
    }
}

/// A name in the input that is none.
impl From<IdError> for Failure {
    fn from(error: IdError) -> Self {
        Self::from_error(ErrorName::Invalid, error)
    }
}

/// The function's own settings name no state machine.
impl From<MachineArnError> for Failure {
    fn from(error: MachineArnError) -> Self {
        Self::from_error(ErrorName::Internal, error)
    }
}
