//! A sign of life for what takes longer than two seconds.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressStyle};
use std::future::Future;
use std::time::Duration;

/// From when on a person wonders.
const AFTER: Duration = Duration::from_secs(2);

/// Waits; after two seconds says on standard error what for: turning on a terminal, once anywhere else.
pub async fn waiting_for<T>(output: &Output, what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(AFTER) => {}
    }
    if !output.is_watched() {
        output.remark(&format!("Still waiting for {what} ..."));
        return work.await;
    }
    let spinner = spinner();
    spinner.set_message(format!("waiting for {what}"));
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// A line on standard error that turns by itself and says how long it has.
pub fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
