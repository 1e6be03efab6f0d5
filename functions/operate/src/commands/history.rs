//! `history`: releases, and where each went.

use crate::door::Door;
use crate::error::OperateError;
use crate::place::{Place, no_environment, service};
use sluice_domain::api::{Answer, PromotionHistory, ReleaseHistory};
use sluice_domain::ids::{EnvironmentName, PromotionId, ReleaseNumber, ServiceName};
use sluice_domain::promotion::Promotion;
use sluice_domain::release::Release;
use std::collections::BTreeMap;

/// How many promotions are read at once.
const PAGE: usize = 100;

/// Releases, newest first, each with the latest try in each environment.
pub async fn run(
    door: &Door,
    name: &ServiceName,
    only: Option<&EnvironmentName>,
    limit: u32,
    before: Option<ReleaseNumber>,
) -> Result<Answer, OperateError> {
    let meta = service(door, name).await?;
    let environments: Vec<_> = match only {
        None => meta.environments,
        Some(only) if meta.environments.contains(only) => vec![only.clone()],
        Some(only) => {
            let at = Place {
                service: name.clone(),
                environment: only.clone(),
            };
            return Err(no_environment(&at, &meta.environments));
        }
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = door.backends.table.releases(name, before, most).await?;
    let mut tries = Vec::new();
    for environment in &environments {
        tries.push(latest(tries_of(door, name, environment, &page.items).await?));
    }
    Ok(Answer::History {
        releases: merged(page.items, &tries),
        more: page.next.is_some(),
    })
}

/// Every try to bring one of these releases into the environment, the highest first.
async fn tries_of(
    door: &Door,
    service: &ServiceName,
    environment: &EnvironmentName,
    releases: &[Release],
) -> Result<Vec<Promotion>, OperateError> {
    let numbers = || releases.iter().map(|release| release.number);
    let (Some(lowest), Some(highest)) = (numbers().min(), numbers().max()) else {
        return Ok(Vec::new());
    };
    let above = ReleaseNumber(highest.0.saturating_add(1));
    let mut before = Some(PromotionId {
        release: above,
        attempt: 0,
    });
    let mut found = Vec::new();
    while before.is_some_and(|id| id.release >= lowest) {
        let page = door
            .backends
            .table
            .promotions(service, environment, before, PAGE)
            .await?;
        found.extend(
            page.items
                .into_iter()
                .filter(|promotion| promotion.id.release >= lowest),
        );
        before = page.next;
    }
    Ok(found)
}

/// The latest try of each release.
fn latest(tries: Vec<Promotion>) -> BTreeMap<ReleaseNumber, Promotion> {
    let mut latest: BTreeMap<ReleaseNumber, Promotion> = BTreeMap::new();
    for promotion in tries {
        let known = latest.get(&promotion.id.release);
        if known.is_none_or(|known| known.id.attempt < promotion.id.attempt) {
            latest.insert(promotion.id.release, promotion);
        }
    }
    latest
}

/// Each release with its tries; `tries` in the order of environments.
fn merged(releases: Vec<Release>, tries: &[BTreeMap<ReleaseNumber, Promotion>]) -> Vec<ReleaseHistory> {
    let history = |release: Release| ReleaseHistory {
        promotions: tries
            .iter()
            .filter_map(|latest| latest.get(&release.number))
            .map(shown)
            .collect(),
        number: release.number,
        digest: release.digest,
        tags: release.tags,
        commit: release.commit,
        pushed_at: release.pushed_at,
        quarantine: release.quarantine,
    };
    releases.into_iter().map(history).collect()
}

fn shown(promotion: &Promotion) -> PromotionHistory {
    PromotionHistory {
        environment: promotion.environment.clone(),
        attempt: promotion.id.attempt,
        state: promotion.state,
        reason: promotion.reason.clone(),
        wanted_at: promotion.wanted_at,
        ended_at: promotion.ended_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{promotion, release};
    use sluice_domain::promotion::PromotionState::{Failed, Verified, Wanted};

    #[test]
    fn each_release_has_its_latest_try_in_each_environment_in_their_order() {
        let dev = latest(vec![
            promotion("dev", 43, 1, Verified),
            promotion("dev", 42, 2, Verified),
            promotion("dev", 42, 1, Failed),
        ]);
        // the order in which tries come does not matter
        let production = latest(vec![
            promotion("production", 42, 1, Failed),
            promotion("production", 42, 3, Wanted),
        ]);
        let shown = merged(vec![release(43), release(42), release(41)], &[dev, production]);
        let lines: Vec<String> = shown
            .iter()
            .map(|release| {
                let went: Vec<_> = release
                    .promotions
                    .iter()
                    .map(|p| format!("{} {} {}", p.environment, p.attempt, p.state))
                    .collect();
                format!("{} {}", release.number, went.join(", "))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "#43 dev 1 verified",
                "#42 dev 2 verified, production 3 wanted",
                "#41 "
            ]
        );
    }
}
