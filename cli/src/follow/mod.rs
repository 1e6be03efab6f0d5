//! Following what is under way: `status --follow`, `promote --follow`, `rollback --follow`.
//!
//! Each change is a line on standard output (JSON with `--output json`); a terminal also sees what is under way turn.

mod change;
mod goal;
mod screen;
#[cfg(test)]
mod tests;
mod tracker;

pub use goal::Goal;

use crate::client::Client;
use crate::decide::mismatched;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::patience::waiting_for;
use crate::status::{only, services_of};
use change::{Change, What, line};
use goal::{Standing, by_history};
use jiff::Timestamp;
use screen::Screen;
use serde::Serialize;
use sluice_domain::api::{Answer, ReleaseHistory, Request, ServiceStatus};
use sluice_domain::ids::{EnvironmentName, ReleaseNumber, ServiceName};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tracker::{Place, Tracker, Work, works};

/// How long Sluice may be out of reach before following gives up.
const OUT_OF_REACH: Duration = Duration::from_secs(60);
/// How often a release must be seen to be nowhere: two reads are no snapshot.
const NOWHERE: u32 = 3;

/// The last line with `--output json`.
#[derive(Debug, Serialize)]
struct Followed<'a> {
    change: &'static str,
    succeeded: bool,
    message: &'a str,
}

struct Follower<'a> {
    client: &'a Client,
    output: &'a Output,
    goal: Goal,
    tracker: Tracker,
    screen: Screen,
    /// What is gone and whose end is not known yet.
    open: Vec<(Place, Work)>,
    /// How the last thing ended, by environment.
    ended: BTreeMap<Place, Change>,
    nowhere: u32,
}

/// Follows until the goal is reached (no error), cannot be reached (exit code 9), or Ctrl-C.
pub async fn run(client: &Client, output: &Output, goal: Goal, interval: Duration) -> Result<(), Failure> {
    let mut follower = Follower {
        client,
        output,
        goal,
        tracker: Tracker::default(),
        screen: Screen::new(output),
        open: Vec::new(),
        ended: BTreeMap::new(),
        nowhere: 0,
    };
    // Ctrl-C first: it is heard from the first poll on, and nothing may be printed before it is.
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            output.remark("Stopped watching. What is under way goes on: nothing was changed.");
            Err(Failure::new(Exit::Interrupted, "Interrupted."))
        }
        done = follower.follow(interval) => done,
    }
}

impl Follower<'_> {
    async fn follow(&mut self, interval: Duration) -> Result<(), Failure> {
        let mut in_reach = None;
        loop {
            match self.look().await {
                Ok(Standing::Succeeded(message)) => return self.conclude(true, &message),
                Ok(Standing::Failed(message)) => return self.conclude(false, &message),
                Ok(_) => in_reach = Some(Instant::now()),
                Err(failure) if is_passing(&failure, in_reach) => self.output.remark(&failure.message),
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// One look at the state: shows what changed, and says where the goal is.
    async fn look(&mut self) -> Result<Standing, Failure> {
        let request = Request::Status {
            service: self.goal.service().cloned(),
        };
        let asked = self.client.ask(&request);
        let services = services_of(waiting_for(self.output, "Sluice's answer", asked).await?)?;
        only(services.clone(), self.goal.service(), self.goal.environment())?;
        let services = only(services, self.goal.service(), self.goal.shown())?;
        let step = self.tracker.look(&services, Timestamp::now());
        step.changes
            .into_iter()
            .try_for_each(|change| self.show(change))?;
        self.open.extend(step.gone);
        self.close(&services).await?;
        self.screen.draw(&services, Timestamp::now());
        self.standing(&services).await
    }

    async fn standing(&mut self, services: &[ServiceStatus]) -> Result<Standing, Failure> {
        let standing = match (self.goal.standing(services), self.goal.clone()) {
            (
                Standing::AskHistory,
                Goal::Release {
                    service,
                    environment,
                    release,
                },
            ) => {
                let history = self.history(&service, None, release).await?;
                if history.is_none() {
                    let failure =
                        Failure::new(Exit::NotFound, format!("{service} has no release {release}."));
                    return Err(failure.next(format!("sluice history {service}")));
                }
                by_history(history.as_ref(), &environment, release)
            }
            (Standing::Succeeded(message), Goal::Quiet { .. }) => self.quiet(message),
            (standing, _) => standing,
        };
        let Standing::Nowhere(message) = standing else {
            self.nowhere = 0;
            return Ok(standing);
        };
        self.nowhere += 1;
        Ok(if self.nowhere >= NOWHERE {
            Standing::Failed(message)
        } else {
            Standing::Going
        })
    }

    /// Nothing is under way: well, where the last thing in each environment ended well.
    fn quiet(&self, message: String) -> Standing {
        if !self.open.is_empty() {
            return Standing::Going;
        }
        let badly = self
            .ended
            .values()
            .filter(|change| change.what.ended_well() == Some(false));
        let badly: Vec<String> = badly
            .map(|change| {
                let text = change::sentence(&change.what, change.at);
                format!("{} {}: {text}", change.service, change.environment)
            })
            .collect();
        if badly.is_empty() {
            Standing::Succeeded(message)
        } else {
            Standing::Failed(badly.join("; "))
        }
    }

    /// Finds out how what is gone has ended. What is back, or not over by its row, stays open or is dropped.
    async fn close(&mut self, services: &[ServiceStatus]) -> Result<(), Failure> {
        for (place, work) in std::mem::take(&mut self.open) {
            let status = services
                .iter()
                .filter(|one| one.service == place.0)
                .flat_map(|one| &one.environments);
            let status = status.into_iter().find(|one| one.name == place.1);
            if status.is_some_and(|status| works(status).contains(&work)) {
                continue;
            }
            let what = match &work {
                Work::Promotion(release) => self.promotion_end(&place, *release).await?,
                Work::Return { kind, to, .. } => {
                    let runs = status
                        .and_then(|status| status.live.as_ref())
                        .and_then(|live| live.release);
                    Some(What::ReturnEnded {
                        kind: kind.clone(),
                        to: *to,
                        succeeded: runs == *to,
                    })
                }
            };
            match what {
                None => self.open.push((place, work)),
                Some(what) => self.end(place, what)?,
            }
        }
        Ok(())
    }

    fn end(&mut self, place: Place, what: What) -> Result<(), Failure> {
        let (service, environment) = place.clone();
        let change = Change {
            at: Timestamp::now(),
            service,
            environment,
            what,
        };
        if change.what.ended_well().is_some() {
            self.ended.insert(place, change.clone());
        }
        self.show(change)
    }

    /// How a promotion ended; none while its row says that it has not.
    async fn promotion_end(&self, place: &Place, release: ReleaseNumber) -> Result<Option<What>, Failure> {
        let history = self.history(&place.0, Some(&place.1), release).await?;
        let promotions = history.map(|history| history.promotions).unwrap_or_default();
        let found = promotions
            .into_iter()
            .find(|promotion| promotion.environment == place.1);
        Ok(match found {
            None => Some(What::PromotionEnded {
                release,
                state: None,
                reason: None,
            }),
            Some(promotion) if !promotion.state.is_final() => None,
            Some(promotion) => Some(What::PromotionEnded {
                release,
                state: Some(promotion.state),
                reason: promotion.reason,
            }),
        })
    }

    async fn history(
        &self,
        service: &ServiceName,
        environment: Option<&EnvironmentName>,
        release: ReleaseNumber,
    ) -> Result<Option<ReleaseHistory>, Failure> {
        let before = Some(ReleaseNumber(release.0.saturating_add(1)));
        let request = Request::History {
            service: service.clone(),
            environment: environment.cloned(),
            limit: 1,
            before,
        };
        let Answer::History { releases, .. } = self.client.ask(&request).await? else {
            return Err(mismatched());
        };
        Ok(releases.into_iter().find(|one| one.number == release))
    }

    fn show(&self, change: Change) -> Result<(), Failure> {
        self.screen.aside(|| self.output.answer(&line(&change), &change))
    }

    fn conclude(&self, succeeded: bool, message: &str) -> Result<(), Failure> {
        self.screen.clear();
        if succeeded || self.output.is_json() {
            self.output.answer(
                message,
                &Followed {
                    change: "followed",
                    succeeded,
                    message,
                },
            )?;
        }
        if succeeded {
            return Ok(());
        }
        let next = self
            .goal
            .service()
            .map_or_else(|| "sluice status".into(), |one| format!("sluice history {one}"));
        Err(Failure::new(Exit::NotSucceeded, message).next(next))
    }
}

/// Whether to look again: Sluice was in reach a short while ago.
fn is_passing(failure: &Failure, in_reach: Option<Instant>) -> bool {
    failure.exit == Exit::Unavailable && in_reach.is_some_and(|at| at.elapsed() < OUT_OF_REACH)
}
