//! Clients of one service, one for each account and region that this process has met.

use crate::place::{AssumeError, AwsPlace};
use aws_config::SdkConfig;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long a client of an assumed role is kept, so that a changed role is met soon.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// A client is not used in the last moments of its credentials.
const MARGIN: Duration = Duration::from_secs(30);
/// The session name of an assumed role.
const SESSION: &str = "sluice";

type Known<C> = HashMap<AwsPlace, (C, SystemTime)>;

/// Clients of one service, in every account and region that this process has met. Clones share them.
#[derive(Debug, Clone)]
pub struct Clients<C> {
    config: SdkConfig,
    make: fn(&SdkConfig) -> C,
    known: Arc<Mutex<Known<C>>>,
}

impl<C: Clone> Clients<C> {
    /// Clients that `make` makes, with this configuration's credentials or those of a role that they assume.
    pub fn new(config: &SdkConfig, make: fn(&SdkConfig) -> C) -> Self {
        Self {
            config: config.clone(),
            make,
            known: Arc::default(),
        }
    }

    /// A client for calls there, that is good for a while.
    pub async fn at(&self, place: &AwsPlace) -> Result<C, AssumeError> {
        let now = SystemTime::now();
        let known = self.lock().get(place).cloned();
        if let Some((client, until)) = known
            && now < until
        {
            return Ok(client);
        }
        let (config, end) = place.config(&self.config, SESSION).await?;
        let client = (self.make)(&config);
        let until = usable_until(now, end);
        self.lock().insert(place.clone(), (client.clone(), until));
        Ok(client)
    }

    fn lock(&self) -> MutexGuard<'_, Known<C>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn usable_until(now: SystemTime, credentials_end: Option<SystemTime>) -> SystemTime {
    let kept = now + KEPT;
    credentials_end
        .and_then(|end| end.checked_sub(MARGIN))
        .map_or(kept, |end| kept.min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_ends_before_its_credentials() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(usable_until(now, None), after(600));
        assert_eq!(usable_until(now, Some(after(3_600))), after(600));
        assert_eq!(usable_until(now, Some(after(100))), after(70));
    }
}
