//! Until when to follow, and whether that was a success. Pure.

use super::tracker::{Work, is_quiet, stuck, works};
use crate::text::{plain_line, release, state as words};
use sluice_domain::api::{EnvironmentStatus, ReleaseHistory, ServiceStatus};
use sluice_domain::ids::{EnvironmentName, ExecutionName, ReleaseNumber, ServiceName};
use sluice_domain::promotion::PromotionState;

/// Until when to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Until nothing is under way and nothing waits.
    Quiet {
        /// One service; all of them when absent.
        service: Option<ServiceName>,
        /// Only this environment.
        environment: Option<EnvironmentName>,
    },
    /// Until a release is verified in an environment, or cannot be any more.
    Release {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release.
        release: ReleaseNumber,
    },
    /// Until a rollback is verified, or over.
    Rollback {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// Its execution.
        execution: ExecutionName,
        /// What it brings back; none for what was there before Sluice.
        to: Option<ReleaseNumber>,
    },
}

/// Where a goal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not there yet.
    Going,
    /// Reached.
    Succeeded(String),
    /// It cannot be reached any more.
    Failed(String),
    /// The state alone does not tell: the release's history must be read.
    AskHistory,
    /// The release is on its way nowhere, as far as two reads that are no snapshot can tell.
    Nowhere(String),
}

impl Goal {
    /// The service whose state is looked at; all when absent.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Quiet { service, .. } => service.as_ref(),
            Self::Release { service, .. } | Self::Rollback { service, .. } => Some(service),
        }
    }

    /// The environment whose changes are shown. For a release all are: it comes through those before.
    pub fn shown(&self) -> Option<&EnvironmentName> {
        match self {
            Self::Quiet { environment, .. } => environment.as_ref(),
            Self::Release { .. } => None,
            Self::Rollback { environment, .. } => Some(environment),
        }
    }

    /// The environment that must be there.
    pub fn environment(&self) -> Option<&EnvironmentName> {
        match self {
            Self::Quiet { environment, .. } => environment.as_ref(),
            Self::Release { environment, .. } | Self::Rollback { environment, .. } => Some(environment),
        }
    }

    /// Where it is, by the present state of what is shown.
    pub fn standing(&self, services: &[ServiceStatus]) -> Standing {
        let mut environments = services.iter().flat_map(|service| &service.environments);
        match self {
            Self::Quiet { .. } => quiet(services),
            Self::Release {
                environment, release, ..
            } => {
                let all: Vec<_> = environments.collect();
                of_release(&all, environment, *release)
            }
            Self::Rollback {
                environment,
                execution,
                to,
                ..
            } => environments
                .find(|one| one.name == *environment)
                .map_or(Standing::Going, |found| of_rollback(found, execution, *to)),
        }
    }
}

fn quiet(services: &[ServiceStatus]) -> Standing {
    let all = || {
        services
            .iter()
            .flat_map(|service| service.environments.iter().map(move |one| (service, one)))
    };
    if !all().all(|(_, environment)| is_quiet(environment)) {
        return Standing::Going;
    }
    let stuck = all()
        .find_map(|(service, one)| stuck(one).map(|activity| stuck_text(&service.service, one, activity)));
    stuck.map_or_else(
        || Standing::Succeeded("Nothing is under way.".into()),
        Standing::Failed,
    )
}

fn stuck_text(
    service: &ServiceName,
    environment: &EnvironmentStatus,
    activity: &sluice_domain::api::Activity,
) -> String {
    let why = activity
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    let what = plain_line(&activity.what);
    format!(
        "{service} {}: the {what} to {} is stuck{why}",
        environment.name,
        release(activity.release)
    )
}

fn of_release(all: &[&EnvironmentStatus], environment: &EnvironmentName, wanted: ReleaseNumber) -> Standing {
    let works_on = |one: &&&EnvironmentStatus| works(one).contains(&Work::Promotion(wanted));
    let Some(at) = all.iter().find(works_on) else {
        return Standing::AskHistory;
    };
    match stuck(at).filter(|activity| activity.release == Some(wanted)) {
        Some(activity) => {
            let why = activity
                .reason
                .as_ref()
                .map(|reason| format!(": {}", plain_line(reason)))
                .unwrap_or_default();
            let here = if at.name == *environment {
                String::new()
            } else {
                format!(", before {environment}")
            };
            Standing::Failed(format!("{wanted} is stuck in {}{here}{why}", at.name))
        }
        None => Standing::Going,
    }
}

fn of_rollback(
    environment: &EnvironmentStatus,
    execution: &ExecutionName,
    to: Option<ReleaseNumber>,
) -> Standing {
    let name = &environment.name;
    let activity = environment.activity.as_ref();
    if let Some(own) = activity.filter(|activity| activity.execution == *execution) {
        let why = own
            .reason
            .as_ref()
            .map(|reason| format!(": {}", plain_line(reason)))
            .unwrap_or_default();
        return match stuck(environment) {
            Some(_) => Standing::Failed(format!("The rollback of {name} to {} is stuck{why}", release(to))),
            None => Standing::Going,
        };
    }
    let runs = environment.live.as_ref().and_then(|live| live.release);
    if runs == to {
        return Standing::Succeeded(format!(
            "{name} runs {}, read back from the cluster.",
            release(to)
        ));
    }
    let instead = activity
        .map(|other| format!("; {} has the environment now", other.execution))
        .unwrap_or_default();
    Standing::Failed(format!(
        "The rollback to {} is over, but {name} runs {}{instead}.",
        release(to),
        release(runs)
    ))
}

/// Where a release's way into an environment is, by its history.
pub fn by_history(
    history: Option<&ReleaseHistory>,
    environment: &EnvironmentName,
    wanted: ReleaseNumber,
) -> Standing {
    let Some(history) = history.filter(|history| history.number == wanted) else {
        return Standing::Failed(format!("There is no release {wanted}."));
    };
    let over = |state: PromotionState, at: &EnvironmentName, reason: Option<&String>| {
        let why = reason
            .map(|reason| format!(": {}", plain_line(reason)))
            .unwrap_or_default();
        Standing::Failed(format!(
            "{wanted} did not reach {environment}: {at} {}{why}",
            words(state)
        ))
    };
    let here = history
        .promotions
        .iter()
        .find(|one| one.environment == *environment);
    match here.map(|one| (one.state, one.reason.as_ref())) {
        Some((PromotionState::Verified, _)) => {
            return Standing::Succeeded(format!("{wanted} is verified in {environment}."));
        }
        Some((state, reason)) if state.is_final() => return over(state, environment, reason),
        Some(_) => return Standing::Going,
        None => {}
    }
    if history.promotions.iter().any(|one| !one.state.is_final()) {
        return Standing::Going;
    }
    match history
        .promotions
        .iter()
        .find(|one| one.state != PromotionState::Verified)
    {
        Some(one) => over(one.state, &one.environment, one.reason.as_ref()),
        None => Standing::Nowhere(format!("{wanted} is not on its way to {environment}.")),
    }
}
