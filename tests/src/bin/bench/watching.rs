//! One watch until an object is as asked: what no tool can see sooner.

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use kube::Resource;
use kube::api::{Api, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Waits, by one watch, until the object of this name is there and as asked.
pub async fn until<K>(api: &Api<K>, name: &str, done: impl Fn(&K) -> bool) -> Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let version = api
        .list_metadata(&Default::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    if api.get_opt(name).await?.as_ref().is_some_and(&done) {
        return Ok(());
    }
    let parameters = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(LIMIT.as_secs() as u32);
    let mut events = pin!(api.watch(&parameters, &version).await?.boxed());
    while let Some(event) = events.try_next().await? {
        if let WatchEvent::Added(found) | WatchEvent::Modified(found) = event
            && done(&found)
        {
            return Ok(());
        }
    }
    anyhow::bail!("{name} was not as asked within {} s", LIMIT.as_secs())
}
