//! What happened in a cluster, in the order in which it happened: etcd keeps every value of every key and numbers all changes
//! in one history, so nothing between two looks is missed. Over etcd's JSON gateway
//! (<https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>).
//!
//! The local API servers store JSON (`--storage-media-type`), and forget history only after half an hour.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::environment::{Cluster, Environment};

/// Between two messages of a history that is being read; not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The part of etcd that holds one cluster.
#[derive(Debug, Clone)]
pub struct Etcd {
    url: String,
    prefix: String,
    client: reqwest::Client,
}

/// A key as it was from a revision on.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The number of the change; changes of one transaction share it.
    pub revision: u64,
    /// Without the cluster's own part: `pods/dev/api-1`.
    pub key: String,
    /// The object; none from its deletion on.
    pub value: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Message {
    result: Option<Watched>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Watched {
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    cancel_reason: String,
    #[serde(default)]
    compact_revision: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    kv: KeyValue,
}

#[derive(Debug, Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    mod_revision: String,
}

impl Etcd {
    /// The part of a cluster.
    pub fn of(environment: &Environment, cluster: &Cluster) -> Self {
        Self {
            url: environment.etcd.clone(),
            prefix: format!("/{}/", cluster.name),
            client: reqwest::Client::new(),
        }
    }

    /// The revision of now: everything that was answered to anybody before is at most this.
    pub async fn revision(&self) -> Result<u64> {
        let answer = self
            .call("kv/range", json!({"key": STANDARD.encode("/")}))
            .await?;
        number(answer.pointer("/header/revision"))
    }

    /// The revision that made a key; none where there is no such key.
    pub async fn created(&self, key: &str) -> Result<Option<u64>> {
        let key = STANDARD.encode(format!("{}{key}", self.prefix));
        let answer = self.call("kv/range", json!({"key": key})).await?;
        let found = answer.pointer("/kvs/0/create_revision");
        found.map(|found| number(Some(found))).transpose()
    }

    /// Every change from a revision to now, in order.
    pub async fn changes(&self, from: u64) -> Result<Vec<Change>> {
        // One watch answers in order: once it shows this mark, it has shown everything before.
        let mark = format!("{}sluice.sim/mark", self.prefix);
        let put = json!({"key": STANDARD.encode(&mark), "value": STANDARD.encode("{}")});
        let end = number(self.call("kv/put", put).await?.pointer("/header/revision"))?;
        let mut changes = self.watch(from, end).await?;
        changes.retain(|change| change.revision <= end && !change.key.starts_with("sluice.sim/"));
        Ok(changes)
    }

    async fn watch(&self, from: u64, end: u64) -> Result<Vec<Change>> {
        let last = self.prefix.strip_suffix('/').unwrap_or(&self.prefix);
        let range_end = format!("{last}0"); // the character after a slash
        let create = json!({"create_request": {"key": STANDARD.encode(&self.prefix),
            "range_end": STANDARD.encode(range_end), "start_revision": from.to_string(), "fragment": true}});
        let answer = self
            .client
            .post(format!("{}/v3/watch", self.url))
            .json(&create)
            .send()
            .await?
            .error_for_status()?;
        let mut lines = Lines::default();
        let mut stream = answer.bytes_stream();
        let mut changes = Vec::new();
        loop {
            let bytes = tokio::time::timeout(PATIENCE, stream.try_next())
                .await
                .context("etcd's history did not go on")??
                .context("etcd's history ended early")?;
            for line in lines.push(&bytes) {
                self.read(&line, from, &mut changes)?;
            }
            // Messages may be split within a revision, but the mark is alone in its own.
            if changes.last().is_some_and(|change| change.revision >= end) {
                return Ok(changes);
            }
        }
    }

    fn read(&self, line: &[u8], from: u64, changes: &mut Vec<Change>) -> Result<()> {
        let message: Message = serde_json::from_slice(line).context("etcd answered no watch")?;
        if let Some(error) = message.error {
            bail!("etcd ended the watch: {error}");
        }
        let Some(watched) = message.result else {
            return Ok(());
        };
        if watched.canceled {
            bail!(
                "etcd does not know the history from revision {from} on any more, only from {}: {}",
                watched.compact_revision,
                watched.cancel_reason
            );
        }
        for event in watched.events {
            changes.push(self.change(event)?);
        }
        Ok(())
    }

    fn change(&self, event: Event) -> Result<Change> {
        let key = String::from_utf8(STANDARD.decode(&event.kv.key)?)?;
        let value = match event.kind.as_str() {
            "DELETE" => None,
            _ => serde_json::from_slice(&STANDARD.decode(&event.kv.value)?).ok(),
        };
        Ok(Change {
            revision: event.kv.mod_revision.parse()?,
            key: key.strip_prefix(&self.prefix).unwrap_or(&key).to_owned(),
            value,
        })
    }

    async fn call(&self, path: &str, body: Value) -> Result<Value> {
        let answer = self
            .client
            .post(format!("{}/v3/{path}", self.url))
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        Ok(answer.json().await?)
    }
}

/// Numbers of 64 bits are text in this JSON.
fn number(value: Option<&Value>) -> Result<u64> {
    let text = value
        .and_then(Value::as_str)
        .context("etcd answered no revision")?;
    text.parse().context("etcd answered no revision")
}

/// Bytes that come in pieces, by lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        let lines = whole.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn etcd() -> Etcd {
        Etcd {
            url: String::new(),
            prefix: "/one/".into(),
            client: reqwest::Client::new(),
        }
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut lines = Lines::default();
        assert!(lines.push(b"ab").is_empty());
        assert_eq!(lines.push(b"c\nd\n\ne"), [b"abc".to_vec(), b"d".to_vec()]);
        assert_eq!(lines.push(b"\n"), [b"e".to_vec()]);
    }

    #[test]
    fn events_are_changes() {
        let encode = |text: &str| STANDARD.encode(text);
        let line = json!({"result": {"header": {"revision": "9"}, "events": [
            {"kv": {"key": encode("/one/pods/dev/a"), "value": encode("{\"kind\":\"Pod\"}"), "mod_revision": "7"}},
            {"type": "DELETE", "kv": {"key": encode("/one/pods/dev/a"), "mod_revision": "8"}}]}});
        let mut changes = Vec::new();
        etcd().read(line.to_string().as_bytes(), 1, &mut changes).unwrap();
        let change = |revision, value| Change {
            revision,
            key: "pods/dev/a".into(),
            value,
        };
        assert_eq!(
            changes,
            [change(7, Some(json!({"kind": "Pod"}))), change(8, None)]
        );
    }

    #[test]
    fn a_history_that_is_forgotten_is_no_history() {
        let line =
            br#"{"result": {"canceled": true, "compact_revision": "40", "cancel_reason": "compacted"}}"#;
        let error = etcd().read(line, 3, &mut Vec::new()).unwrap_err().to_string();
        assert!(
            error.contains("from revision 3 on") && error.contains("40"),
            "{error}"
        );
    }
}
