//! Keys of the table's items: the one place that spells them.

use sluice_domain::alarm::{AlarmHome, AlarmId};
use sluice_domain::ids::{
    Digest, EnvironmentName, Hash, PromotionId, ReleaseNumber, Repository, ServiceName,
};
use std::fmt;

/// The partition of the listing of services.
pub(crate) const SERVICES: &str = "SERVICES";

/// What the sort keys of a service's environments start with.
pub(crate) const ENVIRONMENT: &str = "ENVIRONMENT#";

/// Where an item is: partition key and sort key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// `pk`.
    pub pk: String,
    /// `sk`.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: String) -> Self {
        Self { pk, sk }
    }

    /// A row of the listing of services.
    pub fn service_row(service: &ServiceName) -> Self {
        Self::new(SERVICES.to_owned(), service.to_string())
    }

    /// A service that delivers from a repository.
    pub fn repository_row(repository: &Repository, service: &ServiceName) -> Self {
        Self::new(repository_partition(repository), service.to_string())
    }

    /// A service that is told of an alarm.
    pub fn alarm_row(alarm: &AlarmId, service: &ServiceName) -> Self {
        Self::new(alarm_partition(alarm), service.to_string())
    }

    /// What is known of a service as a whole.
    pub fn meta(service: &ServiceName) -> Self {
        Self::new(service_partition(service), "META".to_owned())
    }

    /// An environment's state.
    pub fn environment(service: &ServiceName, environment: &EnvironmentName) -> Self {
        Self::new(service_partition(service), format!("{ENVIRONMENT}{environment}"))
    }

    /// A release.
    pub fn release(service: &ServiceName, number: ReleaseNumber) -> Self {
        Self::new(releases_partition(service), format!("{:08}", number.0))
    }

    /// A digest's release number.
    pub fn digest_row(service: &ServiceName, digest: &Digest) -> Self {
        Self::new(digests_partition(service), digest.to_string())
    }

    /// A promotion.
    pub fn promotion(service: &ServiceName, environment: &EnvironmentName, id: PromotionId) -> Self {
        let sk = format!("{}{:04}", promotions_of(id.release), id.attempt);
        Self::new(promotions_partition(service, environment), sk)
    }

    /// A ledger entry.
    pub fn entry(service: &ServiceName, environment: &EnvironmentName, seq: u64) -> Self {
        Self::new(ledger_partition(service, environment), entry_sort(seq))
    }

    /// A pipeline version.
    pub fn pipeline(service: &ServiceName, hash: &Hash) -> Self {
        Self::new(format!("SERVICE#{service}#PIPELINES"), hash.to_string())
    }

    /// Who asked for a rollback.
    pub fn request(service: &ServiceName, id: &str) -> Self {
        Self::new(format!("SERVICE#{service}#REQUESTS"), id.to_owned())
    }

    /// A part of a blob, counted from 0.
    pub(crate) fn blob_part(hash: &Hash, part: usize) -> Self {
        Self::new(blob_partition(hash), format!("{part:04}"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.pk, self.sk)
    }
}

pub(crate) fn service_partition(service: &ServiceName) -> String {
    format!("SERVICE#{service}")
}

pub(crate) fn repository_partition(repository: &Repository) -> String {
    format!("REPOSITORY#{repository}")
}

pub(crate) fn alarm_partition(alarm: &AlarmId) -> String {
    let AlarmHome { account, region } = &alarm.home;
    format!("ALARM#{account}#{region}#{}", alarm.name)
}

pub(crate) fn releases_partition(service: &ServiceName) -> String {
    format!("SERVICE#{service}#RELEASES")
}

pub(crate) fn digests_partition(service: &ServiceName) -> String {
    format!("SERVICE#{service}#DIGESTS")
}

pub(crate) fn promotions_partition(service: &ServiceName, environment: &EnvironmentName) -> String {
    format!("SERVICE#{service}#PROMOTIONS#{environment}")
}

/// What the sort keys of all promotions of a release start with.
pub(crate) fn promotions_of(release: ReleaseNumber) -> String {
    format!("{:08}#", release.0)
}

pub(crate) fn ledger_partition(service: &ServiceName, environment: &EnvironmentName) -> String {
    format!("SERVICE#{service}#LEDGER#{environment}")
}

pub(crate) fn entry_sort(seq: u64) -> String {
    format!("{seq:010}")
}

pub(crate) fn blob_partition(hash: &Hash) -> String {
    format!("BLOB#{hash}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn service() -> ServiceName {
        ServiceName::parse("mc-api").unwrap()
    }

    fn production() -> EnvironmentName {
        EnvironmentName::parse("production").unwrap()
    }

    #[test]
    fn keys_are_those_of_the_architecture() {
        let (service, production) = (service(), production());
        let hash = Hash::parse(&"ab".repeat(32)).unwrap();
        let digest = Digest::parse(&format!("sha256:{hash}")).unwrap();
        let repository = Repository::parse("team/mc-api").unwrap();
        let alarm = AlarmId {
            home: AlarmHome {
                account: "123456789012".to_owned(),
                region: "eu-west-1".to_owned(),
            },
            name: "mc-api 5xx".to_owned(),
        };
        let id = PromotionId {
            release: ReleaseNumber(42),
            attempt: 3,
        };
        for (key, right) in [
            (Key::service_row(&service), "SERVICES / mc-api".to_owned()),
            (
                Key::repository_row(&repository, &service),
                "REPOSITORY#team/mc-api / mc-api".to_owned(),
            ),
            (
                Key::alarm_row(&alarm, &service),
                "ALARM#123456789012#eu-west-1#mc-api 5xx / mc-api".to_owned(),
            ),
            (Key::meta(&service), "SERVICE#mc-api / META".to_owned()),
            (
                Key::environment(&service, &production),
                "SERVICE#mc-api / ENVIRONMENT#production".to_owned(),
            ),
            (
                Key::release(&service, id.release),
                "SERVICE#mc-api#RELEASES / 00000042".to_owned(),
            ),
            (
                Key::digest_row(&service, &digest),
                format!("SERVICE#mc-api#DIGESTS / sha256:{hash}"),
            ),
            (
                Key::promotion(&service, &production, id),
                "SERVICE#mc-api#PROMOTIONS#production / 00000042#0003".to_owned(),
            ),
            (
                Key::entry(&service, &production, 7),
                "SERVICE#mc-api#LEDGER#production / 0000000007".to_owned(),
            ),
            (
                Key::pipeline(&service, &hash),
                format!("SERVICE#mc-api#PIPELINES / {hash}"),
            ),
            (
                Key::request(&service, "r-1"),
                "SERVICE#mc-api#REQUESTS / r-1".to_owned(),
            ),
            (Key::blob_part(&hash, 12), format!("BLOB#{hash} / 0012")),
        ] {
            assert_eq!(key.to_string(), right);
        }
    }

    proptest! {
        #[test]
        fn sort_keys_are_in_the_order_of_the_numbers(a in 0u32..100_000_000, b in 0u32..100_000_000, m in 1u32..10_000, n in 1u32..10_000) {
            let promotion = |release, attempt| Key::promotion(&service(), &production(), PromotionId { release: ReleaseNumber(release), attempt }).sk;
            prop_assert_eq!((a, m).cmp(&(b, n)), promotion(a, m).cmp(&promotion(b, n)));
            let (low, high) = (u64::from(a), u64::from(b));
            prop_assert_eq!(low.cmp(&high), entry_sort(low).cmp(&entry_sort(high)));
        }
    }
}
