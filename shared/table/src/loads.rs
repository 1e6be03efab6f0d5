//! The questions that Sluice asks.

use crate::error::TableError;
use crate::item::{Attributes, decode, decode_anywhere, key_of};
use crate::key::{self, Key};
use crate::rows::{AlarmRow, DigestRow, RepositoryRow, ServiceRow};
use crate::table::{Found, Question, Range, Table};
use sluice_domain::alarm::AlarmId;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{
    Digest, EnvironmentName, Hash, PromotionId, ReleaseNumber, Repository, ServiceName,
};
use sluice_domain::ledger::Entry;
use sluice_domain::promotion::Promotion;
use sluice_domain::release::Release;
use sluice_domain::service::{Meta, PipelineVersion, RollbackRequest};

/// Everything that `status` shows of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The service as a whole.
    pub meta: Meta,
    /// Its environments that have a state, by name.
    pub environments: Vec<Environment>,
}

/// Some items, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items.
    pub items: Vec<T>,
    /// What to pass for the next page; none when this was the last.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Where there may be more, `cursor` of the last item says where to go on.
    fn new(items: Vec<T>, more: bool, cursor: impl Fn(&T) -> C) -> Self {
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

impl Table {
    /// A service, if it was ever applied.
    pub async fn service(&self, service: &ServiceName) -> Result<Option<Meta>, TableError> {
        self.get(&Key::meta(service)).await
    }

    /// The names of all services, in alphabetical order, `limit` at a time.
    pub async fn services(
        &self,
        after: Option<&ServiceName>,
        limit: usize,
    ) -> Result<Page<ServiceName, ServiceName>, TableError> {
        let range = after.map_or(Range::All, |name| Range::After(name.to_string()));
        let question = Question {
            partition: key::SERVICES.to_owned(),
            range,
            newest_first: false,
            limit: Some(limit),
        };
        let found = self.query(question).await?;
        let more = found.more;
        let names = found
            .decoded::<ServiceRow>()?
            .into_iter()
            .map(|row| row.service)
            .collect();
        Ok(Page::new(names, more, ServiceName::clone))
    }

    /// The services that deliver from a repository.
    pub async fn services_of(&self, repository: &Repository) -> Result<Vec<ServiceName>, TableError> {
        let found = self
            .query(Question::all(key::repository_partition(repository)))
            .await?;
        Ok(found
            .decoded::<RepositoryRow>()?
            .into_iter()
            .map(|row| row.service)
            .collect())
    }

    /// The services whose pipelines name an alarm.
    pub async fn services_of_alarm(&self, alarm: &AlarmId) -> Result<Vec<ServiceName>, TableError> {
        let found = self.query(Question::all(key::alarm_partition(alarm))).await?;
        Ok(found
            .decoded::<AlarmRow>()?
            .into_iter()
            .map(|row| row.service)
            .collect())
    }

    /// A service and all its environments, in one question whose cost does not grow with history.
    pub async fn overview(&self, service: &ServiceName) -> Result<Option<Overview>, TableError> {
        let found = self.query(Question::all(key::service_partition(service))).await?;
        let (mut meta, mut environments) = (None, Vec::new());
        for attributes in found.items {
            match sort_key(&attributes) {
                "META" => meta = Some(decode(attributes)?),
                sk if sk.starts_with(key::ENVIRONMENT) => environments.push(decode(attributes)?),
                _ => return Err(TableError::unknown(&attributes)),
            }
        }
        Ok(meta.map(|meta| Overview { meta, environments }))
    }

    /// An environment; one that nothing has happened in where it has no state yet.
    pub async fn environment(
        &self,
        service: &ServiceName,
        name: &EnvironmentName,
    ) -> Result<Environment, TableError> {
        let stored = self.get(&Key::environment(service, name)).await?;
        Ok(stored.unwrap_or_else(|| Environment::new(service.clone(), name.clone())))
    }

    /// A release by its number.
    pub async fn release(
        &self,
        service: &ServiceName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, TableError> {
        self.get(&Key::release(service, number)).await
    }

    /// Every digest that is a release of the service: for the sweep, which compares them with the repository.
    pub async fn digests(&self, service: &ServiceName) -> Result<Vec<Digest>, TableError> {
        let found = self.query(Question::all(key::digests_partition(service))).await?;
        Ok(found
            .decoded::<DigestRow>()?
            .into_iter()
            .map(|row| row.digest)
            .collect())
    }

    /// A release by its digest.
    pub async fn release_by_digest(
        &self,
        service: &ServiceName,
        digest: &Digest,
    ) -> Result<Option<Release>, TableError> {
        let Some(row) = self.get::<DigestRow>(&Key::digest_row(service, digest)).await? else {
            return Ok(None);
        };
        let key = Key::release(service, row.number);
        let release: Option<Release> = self.get(&key).await?;
        let release = release.ok_or_else(|| TableError::Missing { key: key.to_string() })?;
        if release.digest != *digest {
            let what = format!(
                "field `digest`: it is {}, and {digest} points at it",
                release.digest
            );
            return Err(TableError::Corrupt {
                key: key.to_string(),
                what,
                source: None,
            });
        }
        Ok(Some(release))
    }

    /// Releases by number, the highest first, below `before` where given.
    pub async fn releases(
        &self,
        service: &ServiceName,
        before: Option<ReleaseNumber>,
        limit: usize,
    ) -> Result<Page<Release, ReleaseNumber>, TableError> {
        let range = before.map_or(Range::All, |number| {
            Range::Before(Key::release(service, number).sk)
        });
        let found = self
            .query(Question::newest(key::releases_partition(service), range, limit))
            .await?;
        let more = found.more;
        Ok(Page::new(found.decoded()?, more, |release: &Release| {
            release.number
        }))
    }

    /// One try to bring a release into an environment.
    pub async fn promotion(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        id: PromotionId,
    ) -> Result<Option<Promotion>, TableError> {
        self.get(&Key::promotion(service, environment, id)).await
    }

    /// All tries to bring a release into an environment, the latest first.
    pub async fn promotions_of(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        release: ReleaseNumber,
    ) -> Result<Vec<Promotion>, TableError> {
        self.attempts(service, environment, release, None)
            .await?
            .decoded()
    }

    /// The latest try to bring a release into an environment.
    pub async fn latest_attempt(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        release: ReleaseNumber,
    ) -> Result<Option<Promotion>, TableError> {
        let latest: Vec<Promotion> = self
            .attempts(service, environment, release, Some(1))
            .await?
            .decoded()?;
        Ok(latest.into_iter().next())
    }

    async fn attempts(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        release: ReleaseNumber,
        limit: Option<usize>,
    ) -> Result<Found, TableError> {
        let partition = key::promotions_partition(service, environment);
        let range = Range::Prefix(key::promotions_of(release));
        self.query(Question {
            partition,
            range,
            newest_first: true,
            limit,
        })
        .await
    }

    /// Promotions into an environment by release number and attempt, the highest first, below `before` where given.
    pub async fn promotions(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        before: Option<PromotionId>,
        limit: usize,
    ) -> Result<Page<Promotion, PromotionId>, TableError> {
        let range = before.map_or(Range::All, |id| {
            Range::Before(Key::promotion(service, environment, id).sk)
        });
        let partition = key::promotions_partition(service, environment);
        let found = self.query(Question::newest(partition, range, limit)).await?;
        let more = found.more;
        Ok(Page::new(found.decoded()?, more, |promotion: &Promotion| {
            promotion.id
        }))
    }

    /// Entries of an environment's ledger from number `from` on, oldest first. `next` is the number to go on with.
    ///
    /// An entry that stands in another's place is given as it is: to find that is the domain's check's own work.
    pub async fn ledger(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        from: u64,
        limit: usize,
    ) -> Result<Page<Entry, u64>, TableError> {
        let question = Question {
            partition: key::ledger_partition(service, environment),
            range: Range::From(key::entry_sort(from)),
            newest_first: false,
            limit: Some(limit),
        };
        let found = self.query(question).await?;
        let next = found
            .items
            .last()
            .filter(|_| found.more)
            .map(next_entry)
            .transpose()?;
        let items: Result<_, _> = found.items.into_iter().map(decode_anywhere).collect();
        Ok(Page { items: items?, next })
    }

    /// The newest entries of an environment's ledger, newest first.
    pub async fn ledger_tail(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
        limit: usize,
    ) -> Result<Vec<Entry>, TableError> {
        let partition = key::ledger_partition(service, environment);
        let found = self.query(Question::newest(partition, Range::All, limit)).await?;
        found.items.into_iter().map(decode_anywhere).collect()
    }

    /// A pipeline version, if it was ever published.
    pub async fn find_pipeline(
        &self,
        service: &ServiceName,
        hash: &Hash,
    ) -> Result<Option<PipelineVersion>, TableError> {
        self.get(&Key::pipeline(service, hash)).await
    }

    /// A pipeline version that something names: that it is not there is an error.
    pub async fn pipeline(&self, service: &ServiceName, hash: &Hash) -> Result<PipelineVersion, TableError> {
        let found = self.find_pipeline(service, hash).await?;
        found.ok_or_else(|| TableError::Missing {
            key: Key::pipeline(service, hash).to_string(),
        })
    }

    /// Who asked for a rollback, while that is kept. DynamoDB forgets late: a row past its `expires` may still come.
    pub async fn request(
        &self,
        service: &ServiceName,
        id: &str,
    ) -> Result<Option<RollbackRequest>, TableError> {
        self.get(&Key::request(service, id)).await
    }
}

fn sort_key(attributes: &Attributes) -> &str {
    attributes
        .get("sk")
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}

/// The number after that of the place where an entry stands, whatever number it claims.
fn next_entry(attributes: &Attributes) -> Result<u64, TableError> {
    let number: Option<u64> = sort_key(attributes).parse().ok();
    number
        .and_then(|number| number.checked_add(1))
        .ok_or_else(|| TableError::unknown(attributes))
}

impl TableError {
    /// An item under a key that Sluice never writes.
    fn unknown(attributes: &Attributes) -> Self {
        Self::Corrupt {
            key: key_of(attributes),
            what: "Sluice writes no such item".to_owned(),
            source: None,
        }
    }
}
