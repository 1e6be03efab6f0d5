//! The environment's row, changed by the functions that change it in Sluice, and each different one kept once. What is told of
//! it (reasons, times in the past) is left out, so that rows differ only where decisions do.

use crate::calls::Answer;
use crate::cluster::{Cluster, What, Write};
use crate::explorer::Quick;
use crate::looks::fenced;
use crate::plain::{normalise, times};
use crate::samples::{before, full, hash, now, number, place_of, promotion, release, route, spec};
use jiff::Timestamp;
use sluice_domain::bundle::{Baseline, Bundle};
use sluice_domain::check;
use sluice_domain::environment::{Completed, Environment, Live, Phase, Rollout};
use sluice_domain::ids::{Digest, EnvironmentName, Fence, ReleaseNumber, ServiceName};
use sluice_domain::pipeline::{EnvironmentSpec, Seconds};
use sluice_domain::rollout::{self, Beginning};
use sluice_domain::tracks::{Held, Track, Tracks, Traffic, cooling};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

pub type Row = u32;

/// What a process has decided to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    Begin,
    Shift,
    Bake,
    Advance(u8),
    Pause,
    Hold,
    Verify,
    Restore,
    Restored,
    Abandon,
    Stick,
    /// What is recorded is written again: nothing is recorded.
    Again,
    RollBack(Kind),
    Cool,
}

/// Which call of roll-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Without a target: a person's, or an alarm's.
    Default,
    /// To what was live before an unfinished rollout.
    Abort,
    /// To the release before that.
    Older,
    /// By the sweep, for an execution that is over: the same once more, or what was live before.
    Sweep,
}

/// A person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Pause,
    Resume,
    Full,
}

/// What a look leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing before something else happens.
    Waits,
    Acts(Act, Option<Write>),
    /// It is over: the lease is given back.
    Completes,
    /// A person is needed: the execution ends.
    Stuck,
    /// It would go on over something that was not seen to be so.
    Unsound(&'static str),
}

/// What the sweep does for an execution that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    Nothing,
    Calls,
    Changes(Row),
}

/// What is broken on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// Traffic is shifted before pods are ready.
    Order,
    /// The cluster takes every write.
    Fence,
    /// The row is written without its condition.
    Condition,
    /// Alarms that say nothing count as quiet.
    Inconclusive,
    /// Nobody looks after executions that are gone.
    Sweep,
    /// A rollback waits for the rollout that is under way.
    Exempt,
    /// A Service that points where it should is not written.
    Stamp,
}

pub struct Rows {
    pub spec: EnvironmentSpec,
    pub broken: Broken,
    pub kept: RefCell<Vec<Environment>>,
    pub known: RefCell<HashMap<String, Row>>,
    pub wanted: RefCell<HashMap<Row, Option<Bundle>>>,
    pub looks: RefCell<HashMap<(Row, Cluster), Look, Hashing>>,
    changes: RefCell<HashMap<(Row, Change), Option<Row>, Hashing>>,
    pub called: RefCell<HashMap<(Row, Kind, bool), Called, Hashing>>,
    told: RefCell<Vec<Told>>,
}

pub type Hashing = BuildHasherDefault<Quick>;
pub type Called = Result<Option<Write>, Answer>;

/// What a row says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub has_lease: bool,
    pub is_stuck: bool,
    /// The release that is live; 0 is none.
    pub live: u8,
    /// Where it is; none without tracks.
    pub on: Option<u8>,
    /// A person's pause, without an end.
    pub is_paused: bool,
}

impl Told {
    fn of(environment: &Environment) -> Self {
        let rollout = environment.under_way();
        let traffic = rollout.and_then(|rollout| rollout.traffic.as_deref());
        let pause = traffic.and_then(|traffic| traffic.pause.as_ref());
        let live = environment.live.as_ref().map(|live| number(live.bundle.as_str()));
        Self {
            has_lease: environment.lease.is_some(),
            is_stuck: rollout.is_some_and(|rollout| rollout.phase == Phase::Stuck),
            live: u8::try_from(live.unwrap_or(0)).unwrap(),
            on: environment.tracks.as_ref().map(|tracks| place_of(tracks.live)),
            is_paused: pause.is_some_and(|pause| pause.until.is_none()),
        }
    }
}

/// A change of the row that does not depend on what is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Act(Act, bool),
    Tick,
    Complete,
    Cooled,
    Promote,
    Sweep,
    Pause,
    Resume,
    Full,
}

impl Rows {
    pub fn new(broken: Broken, pause: bool) -> Self {
        Self {
            spec: spec(pause),
            broken,
            kept: RefCell::default(),
            known: RefCell::default(),
            wanted: RefCell::default(),
            looks: RefCell::default(),
            changes: RefCell::default(),
            called: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// `completed` did, in this order; the last one is live on blue, the one before is warm on green.
    pub fn on_tracks(&self, completed: &[u32]) -> Row {
        let mut environment = self.completed(completed);
        let held = |number: u32| Held::new(hash(number), Some(ReleaseNumber(number)));
        let tracks = [Track::Blue, Track::Green].into_iter();
        environment.tracks = Some(Tracks {
            by_helm: false,
            live: Some(Track::Blue),
            route: Some(route()),
            full: full(),
            held: tracks
                .zip(completed.iter().rev().map(|number| held(*number)))
                .collect(),
            original: None,
            ..Tracks::default()
        });
        self.keep(environment)
    }

    /// The same without tracks: the last one runs as it did before.
    pub fn without_tracks(&self, completed: &[u32]) -> Row {
        let environment = self.completed(completed);
        self.keep(environment)
    }

    fn completed(&self, completed: &[u32]) -> Environment {
        let mut environment = Environment::new(
            ServiceName::parse("mc-api").unwrap(),
            EnvironmentName::parse("production").unwrap(),
        );
        let one = |number: &u32| Completed {
            release: ReleaseNumber(*number),
            digest: Digest::parse(&format!("sha256:{number:064x}")).unwrap(),
            pushed_at: Timestamp::from_second(i64::from(*number)).unwrap(),
            bundle: hash(*number),
            pipeline: hash(900),
            at: now(),
            rolled_back_at: None,
            watched: None,
        };
        environment.completed = completed.iter().rev().map(one).collect();
        environment.live = environment.completed.first().map(|one| Live {
            release: Some(one.release),
            digest: Some(one.digest.clone()),
            bundle: one.bundle.clone(),
            since: now(),
        });
        environment.fence = Fence(1);
        environment
    }

    pub fn get<T>(&self, row: Row, of: impl FnOnce(&Environment) -> T) -> T {
        of(&self.kept.borrow()[row as usize])
    }

    pub fn copy(&self, row: Row) -> Environment {
        self.kept.borrow()[row as usize].clone()
    }

    fn keep(&self, mut environment: Environment) -> Row {
        normalise(&mut environment);
        let text = serde_json::to_string(&environment).unwrap();
        let mut known = self.known.borrow_mut();
        *known.entry(text).or_insert_with(|| {
            let mut kept = self.kept.borrow_mut();
            self.told.borrow_mut().push(Told::of(&environment));
            kept.push(environment);
            u32::try_from(kept.len() - 1).unwrap()
        })
    }

    pub fn told(&self, row: Row) -> Told {
        self.told.borrow()[row as usize]
    }

    pub fn count(&self) -> usize {
        self.kept.borrow().len()
    }

    pub fn changed(
        &self,
        row: Row,
        change: Change,
        make: impl FnOnce(&mut Environment) -> bool,
    ) -> Option<Row> {
        if let Some(known) = self.changes.borrow().get(&(row, change)) {
            return *known;
        }
        let mut environment = self.copy(row);
        let made = make(&mut environment).then(|| self.keep(environment));
        self.changes.borrow_mut().insert((row, change), made);
        made
    }

    /// Time passes: whatever was waited for may be over.
    pub fn tick(&self, row: Row) -> Option<Row> {
        self.changed(row, Change::Tick, |environment| {
            let Some(rollout) = environment.rollout.as_mut() else {
                return false;
            };
            let mut passed = false;
            for time in times(rollout) {
                passed |= *time > now();
                *time = now();
            }
            // How long a router has said no counts from when it was written.
            if let Some(decided) = rollout
                .traffic
                .as_mut()
                .and_then(|traffic| traffic.decided_at.as_mut())
            {
                passed |= *decided >= now();
                *decided = before();
            }
            passed
        })
    }

    /// The next release gets the lease.
    pub fn promote(&self, row: Row) -> Option<Row> {
        self.changed(row, Change::Promote, |environment| {
            if environment.lease.is_some() {
                return false;
            }
            let newest = environment.completed.iter().map(|one| one.release.0).max();
            let mut promotion = promotion(newest.unwrap_or(0).max(2) + 1);
            rollout::take_lease(environment, &mut promotion, Seconds(100), now());
            true
        })
    }

    pub fn complete(&self, row: Row) -> Row {
        let completed = self.changed(row, Change::Complete, |environment| {
            let rollout = environment.rollout.clone().unwrap();
            let mut promotion = rollout.promotion().map(|id| promotion(id.release.0));
            let release = rollout.release.map(|number| release(number.0));
            let done = rollout::complete(
                environment,
                &rollout.owner,
                promotion.as_mut(),
                release.as_ref(),
                now(),
            );
            done.is_ok()
        });
        completed.unwrap()
    }

    pub fn say(&self, row: Row, wish: Wish) -> Option<Row> {
        let change = match wish {
            Wish::Pause => Change::Pause,
            Wish::Resume => Change::Resume,
            Wish::Full => Change::Full,
        };
        self.changed(row, change, |environment| {
            let release = environment.rollout.as_ref().and_then(|rollout| rollout.release);
            let said = match (wish, release) {
                (Wish::Pause, _) => rollout::pause(environment, &self.spec, "ana", None, now()),
                (Wish::Resume, _) => rollout::resume(environment, "ana", None, now()),
                (Wish::Full, Some(release)) => {
                    rollout::hurry(environment, &self.spec, release, "ana", "the fix", now())
                }
                (Wish::Full, None) => return false,
            };
            said.is_ok_and(|record| record.is_some())
        })
    }

    /// The row after an act is recorded. `gone` says that the execution of a rollback under way is over.
    pub fn record(&self, row: Row, act: Act, gone: bool) -> Option<Row> {
        self.changed(row, Change::Act(act, gone), |environment| match act {
            Act::RollBack(kind) => self.roll_back(environment, kind, gone).is_ok(),
            Act::Cool => {
                let cooling = cooling::to_cool(environment).unwrap();
                cooling::begin(environment, &cooling, environment.fence).is_some()
            }
            _ => self.advance(environment, act),
        })
    }

    fn advance(&self, environment: &mut Environment, act: Act) -> bool {
        let (spec, fence) = (&self.spec, environment.fence);
        let Some(rollout) = environment.rollout.clone() else {
            return false;
        };
        let stage = rollout
            .traffic
            .as_ref()
            .map(|traffic| rollout::stage_of(&rollout, traffic, spec));
        let within = Seconds(100);
        let record = match act {
            Act::Begin => return begin(environment, &rollout),
            Act::Shift => rollout::shift(environment, 0, stage.unwrap(), fence, within, now()),
            Act::Bake => rollout::bake(environment, 0, stage.unwrap().bake.unwrap(), now()),
            Act::Advance(stage) => rollout::advance(environment, 0, u32::from(stage), fence, within, now()),
            Act::Pause => rollout::await_person(environment, 0, "", stage.unwrap().pause.unwrap(), now()),
            Act::Hold => check::hold(environment, 0, spec, "", now()),
            Act::Restore => rollout::restore(environment, 0, "", fence, within, now()),
            Act::Verify => rollout::reach(environment, 0, Phase::Verified, rollout.target, None),
            Act::Restored | Act::Abandon => rollout::reach(environment, 0, Phase::Restored, None, None),
            Act::Stick => rollout::reach(environment, 0, Phase::Stuck, None, None),
            Act::Again | Act::RollBack(_) | Act::Cool => None,
        };
        record.is_some()
    }

    /// What is to be cooled, whether that is recorded, and the write.
    pub fn cools(&self, row: Row) -> Option<(bool, Write)> {
        let recorded = self.get(row, |environment| {
            cooling::to_cool(environment).map(|cooling| cooling.fence.is_some())
        })?;
        let after = if recorded {
            row
        } else {
            self.record(row, Act::Cool, false)?
        };
        let cooling = self.get(after, cooling::to_cool)?;
        let what = What::Place {
            at: place_of(cooling.place),
            release: u8::try_from(number(cooling.bundle.as_str())).unwrap(),
            size: 0,
        };
        Some((recorded, fenced(what, cooling.fence?)))
    }

    /// The end of a cooling, where nobody has the place meanwhile.
    pub fn cooled(&self, row: Row) -> Option<Row> {
        self.changed(row, Change::Cooled, |environment| {
            let Some(cooling) = cooling::to_cool(environment).filter(|cooling| cooling.fence.is_some())
            else {
                return false;
            };
            cooling::end(environment, &cooling, now())
        })
    }
}

/// As `advance-rollout` plans it.
fn begin(environment: &mut Environment, rollout: &Rollout) -> bool {
    let tracks = environment.tracks.clone().unwrap_or_default();
    let baseline = match &environment.live {
        Some(live) => Baseline::Bundle {
            hash: live.bundle.clone(),
        },
        None => Baseline::Nothing,
    };
    let traffic = Traffic {
        has_other: baseline != Baseline::Nothing,
        ..Traffic::new(route(), Some(tracks.idle()), tracks.live, full())
    };
    let beginning = Beginning {
        baseline,
        target: hash(rollout.release.unwrap().0),
        highest_fence: environment.fence,
        timeout: Seconds(100),
    };
    rollout::begin_on_tracks(environment, 0, beginning, traffic, now()).is_some()
}
