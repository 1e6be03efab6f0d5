//! Reading alarms.

use crate::error::CloudWatchError;
use crate::reading;
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, HistoryItemType};
use futures::StreamExt;
use jiff::Timestamp;
use sluice_aws::{AwsPlace, Clients};
use sluice_domain::alarm::{AlarmsSeen, Sight, StateChange};
use std::collections::BTreeSet;

/// The most names of one DescribeAlarms (CloudWatch API reference).
const MOST_NAMES: usize = 100;
/// How many histories are read at a time. CloudWatch allows 20 calls a second of an account.
const AT_A_TIME: usize = 4;
/// How many pages of 100 changes are read of one alarm: more than an alarm of ten seconds makes in the longest watch.
const MOST_PAGES: usize = 100;
/// CloudWatch, in every account and region that this process has met. Clones share their clients.
#[derive(Debug, Clone)]
pub struct Alarms {
    clients: Clients<Client>,
}

impl Alarms {
    /// Alarms that are read with this configuration's credentials.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            clients: Clients::new(config, Client::new),
        }
    }

    /// The alarms of these names as they are, without their past.
    pub async fn states(&self, at: &AwsPlace, names: &[String]) -> AlarmsSeen {
        match self.client(at).await {
            Ok(client) => states(&client, names).await,
            Err(error) => AlarmsSeen::unreadable(names, &error.said()),
        }
    }

    /// The alarms of these names as they are, with every change of their states since `since`.
    ///
    /// States are read first, so that what turns meanwhile is in the history, whatever it turns back to.
    pub async fn look(&self, at: &AwsPlace, names: &[String], since: Timestamp) -> AlarmsSeen {
        let client = match self.client(at).await {
            Ok(client) => client,
            Err(error) => return AlarmsSeen::unreadable(names, &error.said()),
        };
        let seen = states(&client, names).await;
        let client = &client;
        let with_past = futures::stream::iter(seen.0)
            .map(|(name, sight)| async move {
                let sight = with_past(client, &name, sight, since).await;
                (name, sight)
            })
            .buffer_unordered(AT_A_TIME);
        AlarmsSeen(with_past.collect().await)
    }

    /// A client for calls there, that is good for a while.
    pub(crate) async fn client(&self, at: &AwsPlace) -> Result<Client, CloudWatchError> {
        Ok(self.clients.at(at).await?)
    }
}

async fn states(client: &Client, names: &[String]) -> AlarmsSeen {
    let names: BTreeSet<&String> = names.iter().collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let mut seen = AlarmsSeen::default();
    for chunk in names.chunks(MOST_NAMES) {
        let found = describe(client, chunk).await;
        seen.0.extend(match found {
            Ok(found) => found.0,
            Err(error) => AlarmsSeen::unreadable(chunk, &error.said()).0,
        });
    }
    seen
}

/// These alarms, of either type: without `AlarmTypes` only metric alarms would come back. One that does not is missing.
async fn describe(client: &Client, names: &[String]) -> Result<AlarmsSeen, CloudWatchError> {
    let action = "DescribeAlarms";
    let mut seen = AlarmsSeen(names.iter().map(|name| (name.clone(), Sight::Missing)).collect());
    let mut pages = client
        .describe_alarms()
        .set_alarm_names(Some(names.to_vec()))
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .max_records(100)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| CloudWatchError::new(action, error))?;
        let metric = page.metric_alarms().iter().filter_map(reading::metric_alarm);
        let composite = page
            .composite_alarms()
            .iter()
            .filter_map(reading::composite_alarm);
        for (name, sight) in metric.chain(composite) {
            // Only what was asked for: an alarm of another name judges nothing.
            if let Some(place) = seen.0.get_mut(&name) {
                *place = sight;
            }
        }
    }
    Ok(seen)
}

async fn with_past(client: &Client, name: &str, sight: Sight, since: Timestamp) -> Sight {
    let Sight::Seen(mut found) = sight else {
        return sight;
    };
    let mut changes = Vec::new();
    found.changes_incomplete = match history(client, name, since, &mut changes).await {
        Ok(()) => None,
        Err(error) => Some(error.said()),
    };
    found.changes = changes;
    Sight::Seen(found)
}

/// Every change since then; those that were read before something went wrong are kept.
async fn history(
    client: &Client,
    name: &str,
    since: Timestamp,
    changes: &mut Vec<StateChange>,
) -> Result<(), CloudWatchError> {
    let action = "DescribeAlarmHistory";
    // What happened in the very moment counts, and a moment before costs nothing: whoever judges looks at the times.
    let start = DateTime::from_secs(since.as_second().saturating_sub(1));
    let mut pages = client
        .describe_alarm_history()
        .alarm_name(name)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .history_item_type(HistoryItemType::StateUpdate)
        .start_date(start)
        .max_records(100)
        .into_paginator()
        .send();
    let mut read = 0;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| CloudWatchError::new(action, error))?;
        for item in page.alarm_history_items() {
            let change = reading::change(item).map_err(|what| CloudWatchError::Malformed { action, what })?;
            changes.push(change);
        }
        read += 1;
        if read == MOST_PAGES {
            let what = format!("more than {} changes", changes.len());
            return Err(CloudWatchError::Malformed { action, what });
        }
    }
    Ok(())
}
