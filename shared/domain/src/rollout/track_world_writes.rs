//! What the functions write in such an environment: to the row, and then to the cluster.
use super::*;
use crate::check;
use crate::rollback::{self, Call, Course};
use crate::samples::promotion;
use crate::tracks::{full_size, pin};

impl World {
    /// What a function writes to the row before it writes anything else.
    pub fn record(&mut self, decision: &Decision) {
        let now = at(self.now);
        let highest = self.observed().highest_fence;
        let stage = self
            .rollout()
            .traffic
            .as_ref()
            .map(|traffic| stage_of(self.rollout(), traffic, &self.spec));
        let within = match self.rollout().promotion() {
            Some(_) => self.spec.timeout,
            None => self.spec.rollback_within,
        };
        let (step, spec) = (self.step, self.spec.clone());
        let environment = &mut self.environment;
        let record = match decision {
            Decision::Begin => return self.begin(),
            Decision::Check { stage, name, attempt } => {
                let check = stage.of(&spec).iter().find(|check| check.name == *name).unwrap();
                check::start(environment, step, *stage, check, *attempt, now)
            }
            Decision::Hold(reason) => check::hold(environment, step, &spec, reason, now),
            Decision::Shift => {
                let left = self.left();
                let observed = self.observed();
                let environment = &mut self.environment;
                if let Some(left) = left {
                    pin(environment, &left, &observed);
                }
                shift(environment, step, stage.unwrap(), highest, within, now)
            }
            Decision::Bake => bake(environment, step, stage.unwrap().bake.unwrap(), now),
            Decision::Advance(next) => advance(environment, step, *next, highest, within, now),
            Decision::Pause(reason) => {
                await_person(environment, step, reason, stage.unwrap().pause.unwrap(), now)
            }
            Decision::Restore(reason) => {
                restore(environment, step, reason, highest, spec.rollback_within, now)
            }
            Decision::Verify => {
                let captured = self.rollout().target.clone();
                reach(&mut self.environment, step, Phase::Verified, captured, None)
            }
            Decision::Restored => reach(environment, step, Phase::Restored, None, None),
            Decision::Abandon(reason) => reach(environment, step, Phase::Restored, None, Some(reason)),
            Decision::Stick(reason) => reach(environment, step, Phase::Stuck, None, Some(reason)),
            _ => return,
        };
        assert!(record.is_some(), "{decision:?} records nothing");
    }

    fn begin(&mut self) {
        let tracks = self.environment.tracks.clone().unwrap_or_default();
        let release = self.rollout().release.unwrap().0;
        let name = name_at(tracks.live);
        let baseline = match (&self.environment.live, self.pods.contains_key(&name)) {
            (Some(live), true) => Baseline::Bundle {
                hash: live.bundle.clone(),
            },
            _ => Baseline::Nothing,
        };
        let running = BTreeMap::from([(
            "mc-api".to_owned(),
            self.pods.get(&name).map_or(0, |pods| pods.wanted),
        )]);
        let traffic = Traffic {
            has_other: baseline != Baseline::Nothing,
            ..Traffic::new(
                route(http_route()),
                Some(tracks.idle()),
                tracks.live,
                full_size(&bundle(release), &running),
            )
        };
        let beginning = Beginning {
            baseline,
            target: hash(release),
            highest_fence: self.observed().highest_fence,
            timeout: self.spec.timeout,
        };
        begin_on_tracks(&mut self.environment, self.step, beginning, traffic, at(self.now)).unwrap();
    }

    /// What a function writes to the cluster once its decision is recorded.
    pub fn carry_out(&mut self, decision: &Decision) {
        match decision {
            Decision::Begin | Decision::Apply | Decision::Advance(_) | Decision::Restore(_) => self.apply(),
            Decision::Shift | Decision::Route => self.write_weights(),
            Decision::Point => self.point(),
            _ => {}
        }
    }

    pub fn apply(&mut self) {
        let fence = self.rollout().fence;
        for wanted in self.wanted().unwrap().deployments {
            let replicas = wanted.replicas.unwrap_or(FULL);
            let release = wanted.images["api"].rsplit(':').next().unwrap();
            let release = u32::from_str_radix(&release[56..], 16).unwrap();
            let there = self.pods.get(&wanted.name).filter(|pods| pods.release == release);
            let ready = there.map_or(0, |pods| pods.ready).min(replicas);
            let pods = Pods {
                release,
                wanted: replicas,
                ready: if self.prompt { replicas } else { ready },
                fence,
                crashes: false,
            };
            self.pods.insert(wanted.name, pods);
        }
    }

    pub fn write_weights(&mut self) {
        let traffic = self.traffic();
        let weights = if self.phase() == Phase::Restoring {
            traffic.weights_before()
        } else {
            traffic.weights.unwrap()
        };
        self.seen.weights = Ok(weights);
        self.seen.fence = self.rollout().fence;
        if !self.accepting {
            self.seen.standing = Standing::Pending("the controller has not looked at it yet".into());
        }
    }

    fn point(&mut self) {
        let back = self.phase() == Phase::Restoring;
        let traffic = self.traffic();
        self.seen.pointed = Some(if back { traffic.from } else { traffic.to });
        self.seen.pointed_fence = self.rollout().fence;
    }

    /// One call of roll-back: what it decides and records, and what it writes at once.
    pub fn roll_back(&mut self, to: Option<u32>, restore: bool) -> Result<Option<u32>, String> {
        self.take_over(to, restore, false)
    }

    /// The same, where the execution of a rollback under way may be over.
    pub fn take_over(
        &mut self,
        to: Option<u32>,
        restore: bool,
        holder_ended: bool,
    ) -> Result<Option<u32>, String> {
        let call = Call {
            to: to.map(ReleaseNumber),
            restore,
            by: "ana".into(),
            reason: None,
            undoes: None,
        };
        let (leaving, target) = match rollback::decide(&self.environment, &call, None, holder_ended) {
            Course::BringBack { leaving, candidates } => (leaving, candidates[0].clone()),
            Course::Join(_) => return Err("joined".into()),
            Course::Already(_) => return Err("already".into()),
            Course::Refuse { reason, .. } => return Err(format!("refused: {reason}")),
        };
        let traffic = rollback::place(&self.environment, &target, &self.stored(&target.bundle))?;
        let beginning = rollback::Beginning {
            highest_fence: self.observed().highest_fence,
            within: self.spec.rollback_within,
            pipeline: hash(900),
            traffic,
        };
        let preempted = self
            .environment
            .under_way()
            .and_then(|rollout| rollout.promotion());
        let mut preempted = preempted.map(|id| promotion(id.release.0));
        rollback::begin(
            &mut self.environment,
            preempted.as_mut(),
            &call,
            &target,
            leaving,
            beginning,
            at(self.now),
        );
        self.apply();
        Ok(target.release.map(|release| release.0))
    }

    /// The end of a rollout: the lease is given back.
    pub fn complete(&mut self) -> Completion {
        let owner = self.rollout().owner.clone();
        let release = self.rollout().release.map(|release| samples::release(release.0));
        let mut promotion = self.rollout().promotion().map(|id| promotion(id.release.0));
        complete(
            &mut self.environment,
            &owner,
            promotion.as_mut(),
            release.as_ref(),
            at(self.now),
        )
        .unwrap()
    }

    /// Runs the checks that are asked for, with this answer.
    pub fn answer(&mut self, verdict: Verdict) {
        let running = check::running(self.rollout()).cloned().unwrap();
        check::answer(&mut self.environment, &running, verdict, None, at(self.now)).unwrap();
    }
}
