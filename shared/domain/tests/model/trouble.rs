//! What goes wrong, and what is asked for, as often as the budget says.

use crate::cluster::{Alarms, PLACES, Standing};
use crate::rows::{Act, Kind, Wish};
use crate::running::{Action, Found, Main, Process, Sluice, State};

impl Sluice {
    /// What goes wrong, or is asked for.
    pub fn trouble(&self, state: &State, found: &mut Found) {
        self.to_processes(state, found);
        self.to_cluster(state, found);
        self.by_people(state, found);
    }

    fn to_processes(&self, state: &State, found: &mut Found) {
        let budget = state.budget;
        if let (Main::Does(process), true, true) = (state.main, budget.doubled > 0, state.has_slot()) {
            let mut next = state.clone();
            next.budget.doubled -= 1;
            next.add(process);
            next.main = Main::Idle;
            self.put(found, Action::Doubled, false, next);
        }
        if budget.ended > 0 && !matches!(state.main, Main::None | Main::Gone) {
            let mut next = state.clone();
            next.budget.ended -= 1;
            if let Main::Does(process) = state.main {
                next.add(process);
            }
            next.main = Main::Gone;
            self.put(found, Action::Ended, false, next);
        }
        let may_cool = budget.cooled > 0 && state.has_slot();
        if may_cool && let Some((recorded, write)) = self.rows.cools(state.row) {
            let mut next = state.clone();
            next.budget.cooled -= 1;
            next.add(if recorded {
                Process::Cools(write)
            } else {
                Process::Looked {
                    act: Act::Cool,
                    write: Some(write),
                    stale: None,
                }
            });
            self.put(found, Action::Cools, false, next);
        }
    }

    fn to_cluster(&self, state: &State, found: &mut Found) {
        let budget = state.budget;
        for at in 0..PLACES {
            let place = state.cluster.places[at];
            if budget.lost > 0 && place.ready > 0 {
                let mut next = state.clone();
                next.budget.lost -= 1;
                let place = &mut next.cluster.places[at];
                (place.ready, place.ours) = (0, false);
                self.put(found, Action::Lost, false, next);
            }
            if budget.shrunk > 0 && place.want > 0 {
                let mut next = state.clone();
                next.budget.shrunk -= 1;
                let place = &mut next.cluster.places[at];
                place.want -= 1;
                (place.ready, place.ours) = (place.ready.min(place.want), false);
                self.put(found, Action::Shrunk, false, next);
            }
            if budget.crashed > 0 && place.want > 0 && !place.crashes {
                let mut next = state.clone();
                next.budget.crashed -= 1;
                let place = &mut next.cluster.places[at];
                (place.ready, place.crashes, place.ours) = (0, true, false);
                self.put(found, Action::Crashed, false, next);
            }
        }
        if budget.refused > 0 && state.cluster.standing == Standing::Pending {
            let mut next = state.clone();
            next.budget.refused -= 1;
            next.cluster.standing = Standing::Refused;
            self.put(found, Action::Refused, false, next);
        }
        let alarms = state.cluster.alarms;
        if budget.alarm > 0 && alarms != Alarms::Blame && state.main != Main::None {
            let mut next = state.clone();
            next.budget.alarm -= 1;
            next.cluster.alarms = Alarms::Blame;
            self.put(found, Action::Alarm, false, next);
        }
        if budget.unknown > 0 && alarms == Alarms::Quiet && state.main != Main::None {
            let mut next = state.clone();
            next.budget.unknown -= 1;
            next.cluster.alarms = Alarms::Unknown;
            self.put(found, Action::Unknown, false, next);
        }
    }

    fn by_people(&self, state: &State, found: &mut Found) {
        let budget = state.budget;
        if budget.calls > 0 && state.has_slot() && !state.calls_back() {
            for kind in [Kind::Default, Kind::Abort, Kind::Older] {
                if let Some(process) = self.called(state.row, kind, state.main == Main::Gone) {
                    let mut next = state.clone();
                    next.budget.calls -= 1;
                    next.add(process);
                    self.put(found, Action::Calls, false, next);
                }
            }
        }
        let may_promote = budget.promoted > 0 && state.main == Main::None;
        if may_promote && let Some(row) = self.rows.promote(state.row) {
            let mut next = state.clone();
            next.budget.promoted -= 1;
            next.main = Main::Idle;
            self.commit(&mut next, row);
            self.put(found, Action::Promoted, false, next);
        }
        if budget.wishes > 0 {
            for wish in [Wish::Pause, Wish::Resume, Wish::Full] {
                if let Some(row) = self.rows.say(state.row, wish) {
                    let mut next = state.clone();
                    next.budget.wishes -= 1;
                    self.commit(&mut next, row);
                    self.put(found, Action::Says, false, next);
                }
            }
        }
        self.resumes(state, found);
    }

    /// A pause without an end is ended by somebody: nothing else would.
    fn resumes(&self, state: &State, found: &mut Found) {
        let for_ever = self.rows.told(state.row).is_paused;
        if let (true, Some(row)) = (for_ever, self.rows.say(state.row, Wish::Resume)) {
            let mut next = state.clone();
            self.commit(&mut next, row);
            self.put(found, Action::Passes, true, next);
        }
    }
}
