//! Rows that only point: from a repository, an alarm, a digest or the listing to a service or a release.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_domain::alarm::AlarmId;
use sluice_domain::ids::{Digest, ReleaseNumber, Repository, ServiceName};

/// A row of the listing of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// The service.
    pub service: ServiceName,
    /// When it was first applied.
    pub first_applied_at: Timestamp,
}

/// A service that delivers from a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRow {
    /// The repository.
    pub repository: Repository,
    /// The service.
    pub service: ServiceName,
}

/// A service that is told of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRow {
    /// The alarm.
    #[serde(flatten)]
    pub alarm: AlarmId,
    /// The service.
    pub service: ServiceName,
}

/// A digest's release number. That it must not exist is why there is one release per digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestRow {
    /// The service.
    pub service: ServiceName,
    /// The digest.
    pub digest: Digest,
    /// The release's number.
    pub number: ReleaseNumber,
}
