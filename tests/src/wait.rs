//! Waiting for a condition, with a limit.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(50);

/// Looks until there is something, and answers it; after `limit` it fails with what was seen last.
///
/// `look` answers `Ok(Ok(found))`, or `Ok(Err(what is there instead))`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<std::result::Result<T, String>>>,
{
    let started = Instant::now();
    loop {
        let instead = match look().await? {
            Ok(found) => return Ok(found),
            Err(instead) => instead,
        };
        if started.elapsed() > limit {
            bail!(
                "{what} did not come within {} s; instead: {instead}",
                limit.as_secs()
            );
        }
        tokio::time::sleep(EVERY).await;
    }
}
