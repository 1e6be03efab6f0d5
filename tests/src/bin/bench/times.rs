//! Times of rounds.

use std::time::{Duration, Instant};

/// Medians and maxima of rounds, in seconds.
#[derive(Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Adds what has passed since.
    pub fn add(&mut self, since: Instant) {
        self.took(since.elapsed());
    }

    /// Adds what something took.
    pub fn took(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64());
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        // Of an even count, halfway between the two in the middle.
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        f64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2))
    }

    /// One line: median and maximum.
    pub fn show(&self, what: &str) {
        let most = self.0.iter().copied().fold(f64::NAN, f64::max);
        println!("{what:<58} {:>7.3} {most:>7.3}", self.median());
    }
}

/// How a goal went.
pub fn met(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// The line over a table of times.
pub fn head(what: &str) {
    println!("\n{what:<58} {:>7} {:>7}", "median", "max");
}
