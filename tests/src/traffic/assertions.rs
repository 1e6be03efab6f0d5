//! What must have been so at every moment.

use super::meet::{Router, RouterKind, Share};
use super::{History, Moment};
use anyhow::{Result, bail, ensure};
use std::collections::BTreeSet;

/// How one router went through a history.
#[derive(Debug, Clone)]
pub struct Course<'a> {
    name: String,
    steps: Vec<(&'a Moment, &'a Router)>,
}

impl<'a> Course<'a> {
    pub(super) fn of(history: &'a History, kind: RouterKind, name: &str) -> Result<Self> {
        let mut steps = Vec::new();
        for moment in &history.moments {
            let meant = |router: &&Router| router.kind == kind && router.name == name;
            steps.extend(moment.routers.iter().filter(meant).map(|router| (moment, router)));
        }
        let name = format!("{kind:?} {name}");
        ensure!(!steps.is_empty(), "the history has no {name}");
        Ok(Self { name, steps })
    }

    /// At no moment a backend had weight without as many ready endpoints as `enough` says for its percent: neither as
    /// the router object asked for it, nor as its controller served it.
    pub fn assert_no_dead_weight(&self, enough: impl Fn(f64) -> usize) -> Result<()> {
        self.each(|share| {
            let wanted = enough(share.percent).max(1);
            (share.percent > 0.0 && share.ready < wanted).then(|| {
                format!(
                    "{} had {} % and {} ready endpoints, not {wanted}",
                    share.backend, share.percent, share.ready
                )
            })
        })
    }

    /// The same of those moments only in which a weight was raised: whoever raised it did so too early. What pods lose
    /// later is not the writer's doing. A router that somebody other than Sluice made begins where it was made.
    pub fn assert_no_dead_shift(&self, enough: impl Fn(f64) -> usize) -> Result<()> {
        let mut before: Vec<(usize, &[Share])> = Vec::new();
        for (moment, router) in &self.steps {
            let was = before.iter().find(|(rule, _)| *rule == router.rule);
            let theirs = was.is_none() && !moment.changed.iter().any(|one| one.ends_with(" by sluice"));
            for share in &router.asked {
                let percent = was
                    .and_then(|(_, shares)| shares.iter().find(|one| one.backend == share.backend))
                    .map_or(0.0, |one| one.percent);
                let wanted = enough(share.percent).max(1);
                if !theirs && share.percent > percent && share.ready < wanted {
                    bail!(
                        "{} at {}: {} was raised from {percent} to {} % with {} ready endpoints, not {wanted}",
                        self.name,
                        told(moment),
                        share.backend,
                        share.percent,
                        share.ready
                    );
                }
            }
            before.retain(|(rule, _)| *rule != router.rule);
            before.push((router.rule, &router.asked));
        }
        Ok(())
    }

    /// At no moment anything but these digests got traffic.
    pub fn assert_only(&self, digests: &[&str]) -> Result<()> {
        self.each(|share| {
            let other = share
                .digests
                .iter()
                .find(|digest| !digests.contains(&digest.as_str()))?;
            (share.percent > 0.0)
                .then(|| format!("{} had {} % and ran {other}", share.backend, share.percent))
        })
    }

    /// A backend's weight went through these percents only, upwards one step at a time, and downwards to the first of
    /// them at once: what a rollout of the release behind it may do.
    pub fn assert_weights_within(&self, backend: &str, steps: &[f64]) -> Result<()> {
        for rule in self.rules() {
            self.within(rule, backend, steps)?;
        }
        Ok(())
    }

    fn within(&self, rule: usize, backend: &str, steps: &[f64]) -> Result<()> {
        let mut at: Option<usize> = None;
        for (moment, percent) in self.changes(rule, backend) {
            let place = told(moment);
            let Some(step) = steps.iter().position(|step| *step == percent) else {
                bail!(
                    "{} at {place}: {backend} had {percent} %, which is no step of {steps:?}",
                    self.name
                );
            };
            let before = at.and_then(|at| steps.get(at));
            ensure!(
                step == 0 || at.is_none_or(|at| step == at + 1),
                "{} at {place}: {backend} went from {before:?} to {percent} %, and the steps are {steps:?}",
                self.name
            );
            at = Some(step);
        }
        Ok(())
    }

    /// At no moment a backend had more than this percent.
    pub fn assert_never_above(&self, backend: &str, most: f64) -> Result<()> {
        self.each(|share| {
            (share.backend == backend && share.percent > most)
                .then(|| format!("{backend} had {} %, and {most} was the most", share.percent))
        })
    }

    /// The percents that a backend was given by the first rule, one after another, each differing from the one before.
    pub fn walk(&self, backend: &str) -> Vec<f64> {
        self.changes(0, backend)
            .into_iter()
            .map(|(_, percent)| percent)
            .collect()
    }

    /// The digests that ever got traffic.
    pub fn digests(&self) -> BTreeSet<String> {
        let shares = self
            .steps
            .iter()
            .flat_map(|(_, router)| router.asked.iter().chain(&router.served));
        let weighted = shares.filter(|share| share.percent > 0.0);
        weighted.flat_map(|share| share.digests.iter().cloned()).collect()
    }

    /// What the router's first rule was in the end.
    pub fn end(&self) -> Option<&'a Router> {
        let mut steps = self.steps.iter().rev();
        steps
            .find(|(_, router)| router.rule == 0)
            .map(|(_, router)| *router)
    }

    fn rules(&self) -> BTreeSet<usize> {
        self.steps.iter().map(|(_, router)| router.rule).collect()
    }

    /// What a rule asked for a backend, where that changed; a backend that it does not name has 0.
    fn changes(&self, rule: usize, backend: &str) -> Vec<(&'a Moment, f64)> {
        let mut changes: Vec<(&Moment, f64)> = Vec::new();
        for (moment, router) in self.steps.iter().filter(|(_, router)| router.rule == rule) {
            let found = router.asked.iter().find(|share| share.backend == backend);
            let percent = found.map_or(0.0, |share| share.percent);
            if changes.last().is_none_or(|(_, last)| *last != percent) {
                changes.push((*moment, percent));
            }
        }
        changes
    }

    fn each(&self, fault: impl Fn(&Share) -> Option<String>) -> Result<()> {
        for (moment, router) in &self.steps {
            for (shares, how) in [(&router.asked, "asked for"), (&router.served, "served")] {
                if let Some(fault) = shares.iter().find_map(&fault) {
                    bail!("{}, as it was {how} at {}: {fault}", self.name, told(moment));
                }
            }
        }
        Ok(())
    }
}

fn told(moment: &Moment) -> String {
    format!("revision {} ({})", moment.revision, moment.changed.join(", "))
}
