//! From push to release: one release per digest, however many tags and events arrive, in whatever order.

use crate::starting::start_wanted;
use crate::wanting::{Wish, add_wish, follow_wish};
use crate::{Backends, load_pipeline, racing};
use jiff::Timestamp;
use sluice_domain::admission::{Admission, admit};
use sluice_domain::ids::{Digest, ReleaseNumber, Repository, ServiceName};
use sluice_domain::promotion::Asker;
use sluice_domain::release::{Image, Release};
use sluice_domain::want::Word;
use sluice_lambda::Failure;
use sluice_table::Transaction;

/// What became of an image for one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It is a new release.
    New(ServiceName, ReleaseNumber),
    /// It was a release already.
    Known(ServiceName, ReleaseNumber),
    /// It is none, for this reason.
    Ignored(String),
}

/// Reads an image from ECR again and records it for every service that is delivered from its repository.
pub async fn record_image(
    backends: &Backends,
    repository: &Repository,
    digest: &Digest,
    now: Timestamp,
) -> Result<Vec<Recorded>, Failure> {
    let services = backends.table.services_of(repository).await?;
    if services.is_empty() {
        return Ok(vec![Recorded::Ignored(format!(
            "no service is delivered from {repository}"
        ))]);
    }
    let Some(image) = backends.registry.image(repository, digest).await? else {
        return Ok(vec![Recorded::Ignored(format!(
            "{digest} is not in {repository}"
        ))]);
    };
    let mut recorded = Vec::with_capacity(services.len());
    for service in services {
        recorded.push(record_for(backends, &service, &image, now).await?);
    }
    Ok(recorded)
}

async fn record_for(
    backends: &Backends,
    service: &ServiceName,
    image: &Image,
    now: Timestamp,
) -> Result<Recorded, Failure> {
    let (recorded, wish) = racing(|| record_once(backends, service, image, now)).await?;
    if let Some(wish) = &wish {
        follow_wish(backends, wish).await?;
    }
    if let Recorded::Known(service, number) = &recorded {
        start_again(backends, service, *number).await?;
    }
    Ok(recorded)
}

async fn record_once(
    backends: &Backends,
    service: &ServiceName,
    image: &Image,
    now: Timestamp,
) -> Result<(Recorded, Option<Wish>), Failure> {
    let table = &backends.table;
    let Some(mut meta) = table.service(service).await? else {
        return Ok((Recorded::Ignored(format!("{service} was never applied")), None));
    };
    if let Some(removed) = meta.out_of_care() {
        return Ok((Recorded::Ignored(removed), None));
    }
    if let Some(known) = table.release_by_digest(service, &image.digest).await? {
        return Ok((Recorded::Known(service.clone(), known.number), None));
    }
    let pipeline = load_pipeline(table, service, &meta.pipeline).await?;
    let (release, promote) = match admit(&mut meta, &pipeline, image, now) {
        Admission::Release { release, promote } => (release, promote),
        Admission::Ignored(reason) => return Ok((Recorded::Ignored(reason), None)),
    };
    let mut transaction = Transaction::new();
    transaction.update(&meta);
    transaction.new_release(&release);
    let wish = match pipeline.first().filter(|_| promote) {
        Some(first) => {
            let mut environment = table.environment(service, &first.name).await?;
            Some(
                add_wish(
                    backends,
                    &mut transaction,
                    &mut environment,
                    &release,
                    Asker::Automatic,
                    &Word::default(),
                    now,
                )
                .await?,
            )
        }
        None => None,
    };
    transaction.commit(table).await?;
    Ok((Recorded::New(service.clone(), release.number), wish))
}

/// An event that arrives again starts what the first one wanted, if it still waits: its function may have been killed
/// between the record and the start.
async fn start_again(
    backends: &Backends,
    service: &ServiceName,
    number: ReleaseNumber,
) -> Result<(), Failure> {
    let Some(release) = backends.table.release(service, number).await? else {
        return Ok(());
    };
    let pipeline = load_pipeline(&backends.table, service, &release.pipeline).await?;
    let Some(first) = pipeline.first() else {
        return Ok(());
    };
    start_wanted(backends, service, &first.name, number).await
}

/// The release as it is stored.
pub async fn load_release(
    backends: &Backends,
    service: &ServiceName,
    number: ReleaseNumber,
) -> Result<Release, Failure> {
    let missing = || Failure::internal(format!("release {number} of {service} is not in the table"));
    backends.table.release(service, number).await?.ok_or_else(missing)
}
