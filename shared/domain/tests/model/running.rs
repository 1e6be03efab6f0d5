//! Processes over the row and the cluster: what each of them does in one step, and what goes wrong.

use crate::calls::Answer;
use crate::cluster::{Alarms, Cluster, PLACES, Standing, Taken, Write};
use crate::explorer::{Model, Next, Violation};
use crate::rows::{Act, Broken, Kind, Look, Row, Rows, Swept};

pub const HELD: &str = "2: at most one holder changes the row";
pub const SOUND: &str = "5: inconclusive never passes";
pub const ENDS: &str = "6, 8: every fair run ends with the traffic on a ready place";
pub const POSSIBLE: &str = "7: rollback is possible from every state";
pub const TOLD: &str = "6: the row says where the traffic is";

/// A process between two of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// It has looked and decided.
    Looked {
        act: Act,
        write: Option<Write>,
        /// The row that it has looked at, where that is no longer the present one.
        stale: Option<Row>,
    },
    /// It has recorded, and writes.
    Writes(Write),
    /// The sweep has recorded that a place gives its pods back.
    Cools(Write),
}

/// The execution that has the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Main {
    /// There is none.
    None,
    /// It was ended from outside.
    Gone,
    /// Its next step begins.
    Idle,
    Does(Process),
}

/// How often something may yet go wrong, or be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// A function is run again while its first run still lives.
    pub doubled: u8,
    /// All pods of a place are lost.
    pub lost: u8,
    /// An autoscaler, or a person, takes a pod away.
    pub shrunk: u8,
    /// The pods of a place cannot start any more.
    pub crashed: u8,
    /// The router's controller refuses what is written.
    pub refused: u8,
    /// An alarm blames the release.
    pub alarm: u8,
    /// The alarms cannot be read for a while.
    pub unknown: u8,
    /// Calls of roll-back.
    pub calls: u8,
    /// An execution is ended from outside.
    pub ended: u8,
    /// The sweep cools a place.
    pub cooled: u8,
    /// Another release takes its turn.
    pub promoted: u8,
    /// A person says something.
    pub wishes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub row: Row,
    pub cluster: Cluster,
    pub main: Main,
    /// Calls of roll-back, the sweep, and those that were thought dead. In order, so that equal states are equal.
    pub others: [Option<Process>; 2],
    pub budget: Budget,
}

/// What happens, as a way names it.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "what is inside is read where a way is printed")]
pub enum Action {
    Looks(Act),
    Records,
    Writes,
    OtherRecords(Process),
    OtherWrites(Process),
    Dies,
    Completes,
    EndsStuck,
    Ticks,
    Ready,
    Accepted,
    Known,
    Doubled,
    Lost,
    Shrunk,
    Crashed,
    Refused,
    Alarm,
    Unknown,
    Calls,
    Ended,
    Sweeps,
    Cools,
    Promoted,
    Says,
    Passes,
}

pub struct Sluice {
    pub rows: Rows,
    pub broken: Broken,
    pub init: State,
    /// Whether something completed before, so that there is always something to go back to.
    pub has_target: bool,
}

pub type Found = Vec<Next<State, Action>>;

impl State {
    fn slot(&mut self) -> Option<&mut Option<Process>> {
        self.others.iter_mut().find(|other| other.is_none())
    }

    pub fn has_slot(&self) -> bool {
        self.others.iter().any(Option::is_none)
    }

    pub fn add(&mut self, process: Process) {
        if let Some(slot) = self.slot() {
            *slot = Some(process);
        }
    }

    pub fn calls_back(&self) -> bool {
        self.others.iter().flatten().any(|one| {
            let act = match one {
                Process::Looked { act, .. } => Some(act),
                _ => None,
            };
            matches!(act, Some(Act::RollBack(_)))
        })
    }
}

impl Sluice {
    /// The row is changed by one of them: the others have looked at what is no longer so.
    pub fn commit(&self, state: &mut State, row: Row) {
        let before = state.row;
        state.row = row;
        let gone = state.main == Main::Gone;
        if let Main::Does(process) = state.main {
            state.main = self.outdated(process, before).map_or(Main::Idle, Main::Does);
        }
        for other in &mut state.others {
            *other = other.and_then(|process| match process {
                // A call that lost its race looks again.
                Process::Looked {
                    act: Act::RollBack(kind),
                    ..
                } if self.broken != Broken::Condition => self.called(row, kind, gone),
                _ => self.outdated(process, before),
            });
        }
    }

    fn outdated(&self, process: Process, before: Row) -> Option<Process> {
        match process {
            Process::Looked { act: Act::Again, .. } | Process::Writes(_) | Process::Cools(_) => Some(process),
            Process::Looked { .. } if self.broken != Broken::Condition => None,
            Process::Looked { act, write, stale } => Some(Process::Looked {
                act,
                write,
                stale: stale.or(Some(before)),
            }),
        }
    }

    pub fn called(&self, row: Row, kind: Kind, gone: bool) -> Option<Process> {
        let write = self.rows.calls(row, kind, gone).ok()?;
        Some(Process::Looked {
            act: Act::RollBack(kind),
            write,
            stale: None,
        })
    }

    /// What can no longer do anything is not kept apart from what does not exist.
    fn tidy(&self, state: &mut State) {
        let cluster = state.cluster;
        let is_void =
            |write: &Write| self.broken != Broken::Fence && write.fence <= cluster.fence_of(write.what);
        for other in &mut state.others {
            *other = other.filter(|process| match process {
                Process::Writes(write)
                | Process::Looked {
                    act: Act::Again,
                    write: Some(write),
                    ..
                } => !is_void(write),
                _ => true,
            });
        }
        state.others.sort();
        for place in &mut state.cluster.places {
            place.ours &= place.ready < place.want || place.want < crate::cluster::FULL;
        }
    }

    pub fn put(&self, found: &mut Found, action: Action, calm: bool, state: State) {
        let mut state = state;
        self.tidy(&mut state);
        found.push(Next {
            action,
            calm,
            to: Ok(state),
        });
    }

    fn fail(&self, found: &mut Found, action: Action, violation: Violation) {
        found.push(Next {
            action,
            calm: true,
            to: Err(violation),
        });
    }

    fn write(&self, state: &mut State, write: Write) -> Result<Taken, Violation> {
        state.cluster.take(write, self.broken != Broken::Fence)
    }

    /// The execution that has the lease.
    fn main(&self, state: &State, found: &mut Found) {
        let mut next = state.clone();
        match state.main {
            Main::None => {}
            Main::Gone => self.sweep(state, found),
            Main::Idle => match self.rows.look(state.row, &seen(state)) {
                Look::Waits => {}
                Look::Unsound(how) => {
                    let property = SOUND;
                    self.fail(found, Action::Looks(Act::Again), Violation { property, how });
                }
                Look::Acts(act, write) => {
                    let stale = None;
                    next.main = Main::Does(Process::Looked { act, write, stale });
                    self.put(found, Action::Looks(act), true, next);
                }
                Look::Completes => {
                    let row = self.rows.complete(state.row);
                    next.main = Main::None;
                    next.cluster.alarms = Alarms::Quiet;
                    self.commit(&mut next, row);
                    self.put(found, Action::Completes, true, next);
                }
                Look::Stuck => {
                    next.main = Main::None;
                    self.put(found, Action::EndsStuck, true, next);
                }
            },
            Main::Does(Process::Looked { act, write, stale }) => {
                next.main = Main::Idle;
                match self.step(&mut next, act, write, stale) {
                    Err(violation) => return self.fail(found, Action::Records, violation),
                    Ok(Some(write)) => next.main = Main::Does(Process::Writes(write)),
                    Ok(None) => {}
                }
                self.put(found, Action::Records, true, next);
            }
            Main::Does(Process::Writes(write) | Process::Cools(write)) => {
                next.main = Main::Idle;
                match self.write(&mut next, write) {
                    Err(violation) => self.fail(found, Action::Writes, violation),
                    Ok(_) => self.put(found, Action::Writes, true, next),
                }
            }
        }
    }

    /// Records an act, or carries out what needs no record. What is to be written then is left.
    fn step(
        &self,
        state: &mut State,
        act: Act,
        write: Option<Write>,
        stale: Option<Row>,
    ) -> Result<Option<Write>, Violation> {
        if act == Act::Again {
            let Some(write) = write else { return Ok(None) };
            return self.write(state, write).map(|_| None);
        }
        if stale.is_some() {
            return Err(Violation {
                property: HELD,
                how: "a decision over an older row was recorded",
            });
        }
        let gone = state.main == Main::Gone;
        let row = self.rows.record(state.row, act, gone);
        let row = row.ok_or(Violation {
            property: HELD,
            how: "a decision could not be recorded over the row that it was made for",
        })?;
        self.commit(state, row);
        Ok(write)
    }

    /// Calls, sweeps, and processes that were thought dead.
    fn others(&self, state: &State, found: &mut Found) {
        for (at, other) in state.others.iter().enumerate() {
            let Some(process) = *other else { continue };
            let mut next = state.clone();
            next.others[at] = None;
            let died = next.clone();
            match process {
                Process::Looked { act, write, stale } => {
                    let preempts = matches!(act, Act::RollBack(_));
                    if preempts {
                        // Who had the lease may be in the middle of something.
                        if let Main::Does(main) = next.main {
                            next.add(main);
                        }
                    }
                    match self.step(&mut next, act, write, stale) {
                        Err(violation) => {
                            self.fail(found, Action::OtherRecords(process), violation);
                            continue;
                        }
                        Ok(left) => {
                            let write = left.map(|left| match act {
                                Act::Cool => Process::Cools(left),
                                _ => Process::Writes(left),
                            });
                            if let Some(write) = write {
                                next.add(write);
                            }
                        }
                    }
                    if preempts {
                        next.main = Main::Idle;
                        next.cluster.alarms = Alarms::Quiet;
                    }
                    self.put(found, Action::OtherRecords(process), true, next);
                }
                Process::Writes(write) => match self.write(&mut next, write) {
                    Err(violation) => self.fail(found, Action::OtherWrites(process), violation),
                    Ok(_) => self.put(found, Action::OtherWrites(process), true, next),
                },
                Process::Cools(write) => match self.write(&mut next, write) {
                    Err(violation) => self.fail(found, Action::OtherWrites(process), violation),
                    Ok(taken) => {
                        let cooled = self.rows.cooled(next.row).filter(|_| taken == Taken::Done);
                        if let Some(row) = cooled {
                            self.commit(&mut next, row);
                        }
                        self.put(found, Action::OtherWrites(process), true, next);
                    }
                },
            }
            self.put(found, Action::Dies, true, died);
        }
    }

    fn sweep(&self, state: &State, found: &mut Found) {
        if self.broken == Broken::Sweep {
            return;
        }
        let mut next = state.clone();
        match self.rows.sweep(state.row) {
            Swept::Nothing => next.main = Main::None,
            Swept::Changes(row) => {
                next.main = Main::None;
                next.cluster.alarms = Alarms::Quiet;
                self.commit(&mut next, row);
            }
            Swept::Calls => {
                let called = self.called(state.row, Kind::Sweep, true);
                let (Some(process), true, false) = (called, state.has_slot(), state.calls_back()) else {
                    return;
                };
                next.add(process);
            }
        }
        self.put(found, Action::Sweeps, true, next);
    }

    /// What the rest of the world does by itself.
    fn world(&self, state: &State, found: &mut Found) {
        for at in 0..PLACES {
            let place = state.cluster.places[at];
            if place.ready < place.want && !place.crashes {
                let mut next = state.clone();
                next.cluster.places[at].ready = place.want;
                self.put(found, Action::Ready, true, next);
            }
        }
        if state.cluster.standing == Standing::Pending {
            let mut next = state.clone();
            next.cluster.standing = Standing::Accepted;
            self.put(found, Action::Accepted, true, next);
        }
        if state.cluster.alarms == Alarms::Unknown {
            let mut next = state.clone();
            next.cluster.alarms = Alarms::Quiet;
            self.put(found, Action::Known, true, next);
        }
        let waits = self.rows.told(state.row).has_lease;
        if let Some(row) = self.rows.tick(state.row).filter(|_| waits) {
            let mut next = state.clone();
            // No condition is on the time: who has looked before has looked at the same row.
            next.row = row;
            self.put(found, Action::Ticks, true, next);
        }
    }
}

/// What a look sees: whose doing it is cannot be seen.
fn seen(state: &State) -> Cluster {
    let mut seen = state.cluster;
    for place in &mut seen.places {
        place.ours = false;
    }
    seen
}

impl Model for Sluice {
    type State = State;
    type Action = Action;
    const ENDS: &'static str = ENDS;

    fn init(&self) -> State {
        self.init.clone()
    }

    fn next(&self, state: &State, found: &mut Found) {
        self.main(state, found);
        self.others(state, found);
        self.world(state, found);
        self.trouble(state, found);
    }

    fn check(&self, state: &State) -> Option<Violation> {
        let gone = matches!(state.main, Main::Gone);
        if self.has_target && self.rows.calls(state.row, Kind::Default, gone) == Err(Answer::Refused) {
            return Some(Violation {
                property: POSSIBLE,
                how: "a call without a target is refused",
            });
        }
        let told = |how| Some(Violation { property: TOLD, how });
        let row = self.rows.told(state.row);
        if row.has_lease || row.live == 0 {
            return None;
        }
        let Some(at) = state.cluster.served() else {
            return told("nobody has the lease, and the traffic is shared");
        };
        if state.cluster.places[at].release != row.live {
            return told("another release than the live one has the traffic");
        }
        if row.on.is_some_and(|on| usize::from(on) != at) || usize::from(state.cluster.root) != at {
            return told("the traffic, the Service and the row do not agree where it is");
        }
        None
    }

    fn is_good(&self, state: &State) -> bool {
        let row = self.rows.told(state.row);
        (!row.has_lease || row.is_stuck)
            && state.main == Main::None
            && state.others.iter().all(Option::is_none)
            && (state.cluster.serves() || self.is_nothing(state))
    }
}

impl Sluice {
    /// A first release that failed is brought back to nothing.
    fn is_nothing(&self, state: &State) -> bool {
        !self.has_target && self.rows.told(state.row).live == 0
    }
}
