//! What a terminal sees turn while following: one line for each environment in which something is under way.

use super::tracker::{Place, works};
use crate::output::Output;
use crate::patience::spinner;
use crate::under_way::{activity_text, waiting_text};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use jiff::Timestamp;
use sluice_domain::api::{EnvironmentStatus, ServiceStatus};
use std::collections::BTreeMap;

/// The turning lines, on standard error. Nothing is drawn where nobody watches.
pub struct Screen {
    lines: MultiProgress,
    turning: BTreeMap<Place, ProgressBar>,
    is_watched: bool,
}

impl Screen {
    /// Nothing turns yet.
    pub fn new(output: &Output) -> Self {
        let is_watched = output.is_watched();
        let target = if is_watched {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            lines: MultiProgress::with_draw_target(target),
            turning: BTreeMap::new(),
            is_watched,
        }
    }

    /// Draws the present state.
    pub fn draw(&mut self, services: &[ServiceStatus], now: Timestamp) {
        if !self.is_watched {
            return;
        }
        for service in services {
            for environment in &service.environments {
                let place = (service.service.clone(), environment.name.clone());
                self.draw_one(place, environment, now);
            }
        }
    }

    fn draw_one(&mut self, place: Place, environment: &EnvironmentStatus, now: Timestamp) {
        if works(environment).is_empty() {
            if let Some(line) = self.turning.remove(&place) {
                line.finish_and_clear();
            }
            return;
        }
        let text = format!("{} {}: {}", place.0, place.1, under_way(environment, now));
        let line = self
            .turning
            .entry(place)
            .or_insert_with(|| self.lines.add(spinner()));
        line.set_message(text);
    }

    /// Lets something else write to the terminal.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.lines.suspend(write)
    }

    /// Takes every line away. The terminal may be gone; nobody looks then.
    pub fn clear(&self) {
        let _ = self.lines.clear();
    }
}

fn under_way(environment: &EnvironmentStatus, now: Timestamp) -> String {
    let activity = environment
        .activity
        .iter()
        .map(|activity| activity_text(activity, now));
    let waiting = environment
        .waiting
        .iter()
        .map(|waiting| waiting_text(waiting, now));
    activity.chain(waiting).collect::<Vec<_>>().join("; ")
}
