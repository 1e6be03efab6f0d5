//! Tests that have something of their own, and take it away again.

use futures::FutureExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// A name that no other test and no other run uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanoseconds = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.subsec_nanos());
    format!(
        "{prefix}-{}-{nanoseconds}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Runs a test, then cleans up, however the test ended.
pub async fn cleaned<T>(test: impl Future<Output = T>, cleanup: impl Future<Output = ()>) -> T {
    let outcome = AssertUnwindSafe(test).catch_unwind().await;
    cleanup.await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}
