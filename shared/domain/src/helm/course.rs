//! What helm is to do, given what the cluster holds of the release.

use super::{HelmRevision, HelmStatus, decision_of_description, fence_of_description};
use crate::bundle::HelmBundle;
use crate::ids::Fence;

/// What helm is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// Nothing: this revision is what the decision asked for.
    Done(u32),
    /// Nothing: the release is not there, and is not to be.
    Gone,
    /// Wait: somebody else's helm is at work, or was.
    Busy(String),
    /// First close this revision, whose writer can write no more; then look again.
    Heal {
        /// The revision.
        revision: u32,
        /// What is said of it.
        why: String,
    },
    /// Bring this revision back.
    Rollback(u32),
    /// Install the bundle, or upgrade to it.
    Upgrade,
    /// Take the release away.
    Uninstall,
    /// It cannot be done.
    Impossible(String),
}

/// What is asked of helm.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What is to run; none where the release is to be taken away.
    pub wanted: Option<&'a HelmBundle>,
    /// The fence of the decision.
    pub decision: Fence,
    /// The fence that helm would work under: every older one can write no more.
    pub fence: Fence,
}

/// What helm is to do. `revisions` is what the cluster holds, newest first.
pub fn course(revisions: &[HelmRevision], asked: Asked<'_>) -> Course {
    let latest = revisions.first();
    let Some(wanted) = asked.wanted else {
        return removal(revisions, asked.fence);
    };
    if let Some(latest) = latest {
        if latest.status == HelmStatus::Deployed && decision_of(latest) == Some(asked.decision) {
            return Course::Done(latest.revision);
        }
        if latest.status.is_pending() {
            return unfinished(revisions, latest, asked.fence);
        }
    }
    if let Some(revision) = same_content(revisions, wanted) {
        return Course::Rollback(revision);
    }
    if wanted.chart.archive.is_some() {
        return Course::Upgrade;
    }
    let gone = wanted
        .revision
        .map_or_else(String::new, |revision| format!(" {revision}"));
    Course::Impossible(format!(
        "revision{gone} of the Helm release {} is no longer in its history, and it was not Sluice that installed its chart \
         {} {}: install that chart by hand, or promote a release",
        wanted.release, wanted.chart.name, wanted.chart.version
    ))
}

/// Why nothing may be begun now, under whatever fence: somebody else's helm is at work, or was. `fence` is above all that were
/// given out; `revisions` is newest first.
pub fn others(revisions: &[HelmRevision], fence: Fence) -> Option<String> {
    let latest = revisions.first().filter(|latest| latest.status.is_pending())?;
    match unfinished(revisions, latest, fence) {
        Course::Busy(why) => Some(why),
        _ => None,
    }
}

fn removal(revisions: &[HelmRevision], fence: Fence) -> Course {
    match revisions.first() {
        None => Course::Gone,
        Some(latest) if latest.status == HelmStatus::Uninstalled => Course::Gone,
        Some(latest) if latest.status == HelmStatus::Uninstalling => Course::Uninstall,
        Some(latest) if latest.status.is_pending() => unfinished(revisions, latest, fence),
        Some(_) => Course::Uninstall,
    }
}

/// Helm refuses to start beside an unfinished revision. One that Sluice began under an older fence has lost its writer: the
/// cluster refuses whatever it still sends. Of any other, nobody can say whether its helm still runs.
fn unfinished(revisions: &[HelmRevision], latest: &HelmRevision, fence: Fence) -> Course {
    let HelmRevision {
        name,
        revision,
        status,
        ..
    } = latest;
    match writer_of(revisions, latest) {
        Some(writer) if writer < fence => Course::Heal {
            revision: *revision,
            why: format!(
                "revision {revision} was left {status} by a helm that was ended (fence {writer}, now {fence})"
            ),
        },
        _ => {
            let since = latest
                .deployed_at
                .map_or_else(String::new, |at| format!(" since {at}"));
            Course::Busy(format!(
                "the Helm release {name} is {status}{since}, and it was not Sluice that began revision {revision}: wait for \
                 that helm to end. If it is gone, `helm rollback {name}` closes it"
            ))
        }
    }
}

/// The fence of a revision, where it is its own. `labels` are those of all revisions, by number.
///
/// Whoever upgrades a release by hand takes over the labels of the revision before (Helm 4, `pkg/action/upgrade.go`,
/// `mergeCustomLabels`): a fence that an older revision has too says nothing, as each run of Sluice's has another one, unless
/// the description says the same.
pub fn own_fence(
    of: u32,
    fence: Option<Fence>,
    description: Option<&str>,
    labels: &[(u32, Option<Fence>)],
) -> Option<Fence> {
    let is_said = description.and_then(fence_of_description) == fence;
    let is_handed_on = labels
        .iter()
        .any(|(number, label)| *number < of && *label == fence);
    fence.filter(|_| is_said || !is_handed_on)
}

/// The fence under which Sluice made a revision; none where others made it. While helm is at work, and after it failed, only
/// the label says so.
fn writer_of(revisions: &[HelmRevision], revision: &HelmRevision) -> Option<Fence> {
    let labels: Vec<_> = revisions.iter().map(|one| (one.revision, one.fence)).collect();
    let own = || own_fence(revision.revision, revision.fence, None, &labels);
    fence_of_description(&revision.description).or_else(own)
}

fn decision_of(revision: &HelmRevision) -> Option<Fence> {
    decision_of_description(&revision.description)
}

/// The revision that the bundle was, or another of the same content; none where the history has none.
fn same_content(revisions: &[HelmRevision], wanted: &HelmBundle) -> Option<u32> {
    let content = wanted.content.as_ref()?;
    let same = |revision: &&HelmRevision| {
        revision.status != HelmStatus::Uninstalled && revision.content().is_ok_and(|found| found == *content)
    };
    let exact = revisions
        .iter()
        .find(|revision| wanted.revision == Some(revision.revision));
    exact
        .filter(same)
        .or_else(|| revisions.iter().find(same))
        .map(|revision| revision.revision)
}

/// What runs now: the newest deployed revision; else the newest that others made and that did not succeed, as its objects
/// may be there. `revisions` is newest first.
pub fn present(revisions: &[HelmRevision]) -> Option<&HelmRevision> {
    let deployed = revisions
        .iter()
        .find(|revision| revision.status == HelmStatus::Deployed);
    let theirs = |revision: &&HelmRevision| {
        writer_of(revisions, revision).is_none()
            && matches!(revision.status, HelmStatus::Failed | HelmStatus::Superseded)
    };
    deployed.or_else(|| revisions.iter().find(theirs))
}

/// Whether the release was changed by others since Sluice left it, and how. `live` is what Sluice believes to run.
pub fn is_drift(live: Option<&HelmBundle>, present: Option<&HelmRevision>) -> Option<String> {
    let live = live?;
    let left = live.revision.map_or_else(String::new, |revision| {
        format!(" (Sluice left revision {revision})")
    });
    let Some(present) = present else {
        return Some(format!("the Helm release {} is gone{left}", live.release));
    };
    let same = live
        .content
        .as_ref()
        .is_some_and(|content| present.content().is_ok_and(|found| found == *content));
    if same {
        return None;
    }
    let by = if fence_of_description(&present.description).is_some() {
        "not what Sluice verified"
    } else {
        "not Sluice's"
    };
    Some(format!(
        "revision {} of the Helm release {} is {by}{left}: {}",
        present.revision, live.release, present.description
    ))
}

impl std::fmt::Display for HelmStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
