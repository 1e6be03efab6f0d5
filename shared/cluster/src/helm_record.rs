//! What helm keeps of a revision: base64 of gzipped JSON (Helm 3 and 4, `pkg/storage/driver/util.go`). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use sluice_domain::helm::{FENCE_LABEL, HelmHead, HelmHook, HelmRevision, HelmStatus, fence_of_description};
use sluice_domain::ids::Fence;
use std::io::{Read, Write};

/// What a record may unfold to, in bytes: a Secret holds at most 1 MiB, and nobody is to fill our memory with it.
const MOST: u64 = 32 * 1024 * 1024;
/// How gzip begins (RFC 1952). Helm reads records that do not as plain JSON, and so do we.
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

/// The name of the Secret of a revision.
pub(crate) fn secret_name(release: &str, revision: u32) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// The record in the value `release` of a Secret.
pub(crate) fn decode(data: &[u8]) -> Result<Value, String> {
    let packed = STANDARD
        .decode(data)
        .map_err(|error| format!("it is no base64: {error}"))?;
    let json = if packed.starts_with(&GZIP) {
        unpacked(&packed)?
    } else {
        packed
    };
    serde_json::from_slice(&json).map_err(|error| format!("it is no JSON: {error}"))
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut json = Vec::new();
    GzDecoder::new(packed)
        .take(MOST + 1)
        .read_to_end(&mut json)
        .map_err(|error| format!("it cannot be unzipped: {error}"))?;
    if json.len() as u64 > MOST {
        return Err(format!("it unfolds to more than {MOST} bytes"));
    }
    Ok(json)
}

/// The opposite.
pub(crate) fn encode(record: &Value) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(record).map_err(|error| error.to_string())?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let packed = packed.write_all(&json).and_then(|()| packed.finish());
    let packed = packed.map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(packed).into_bytes())
}

/// What the labels of a Secret say.
pub(crate) fn head(metadata: &ObjectMeta) -> Result<HelmHead, String> {
    let label = |name: &str| metadata.labels.as_ref()?.get(name).map(String::as_str);
    let version = label("version").unwrap_or_default();
    let status = HelmStatus::of_word(label("status").unwrap_or_default());
    Ok(HelmHead {
        revision: version
            .parse()
            .map_err(|_| format!("its label `version` is {version:?}, which is no revision"))?,
        status,
        fence: fence_of_label(metadata).filter(|_| status != HelmStatus::PendingRollback),
    })
}

/// What a Secret and the record in it say.
pub(crate) fn revision(metadata: &ObjectMeta, record: &Value) -> Result<HelmRevision, String> {
    let text = |pointer: &str| {
        let found = record.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let number = record.get("version").and_then(Value::as_u64);
    let number = number.and_then(|number| u32::try_from(number).ok());
    let status = HelmStatus::of_word(&text("/info/status"));
    let description = text("/info/description");
    let fence = if is_rollback(status, record) {
        fence_of_description(&description)
    } else {
        fence_of_label(metadata)
    };
    Ok(HelmRevision {
        name: text("/name"),
        revision: number.ok_or("it has no revision (`version`)")?,
        status,
        fence,
        description,
        deployed_at: text("/info/last_deployed").parse::<Timestamp>().ok(),
        chart: text("/chart/metadata/name"),
        chart_version: text("/chart/metadata/version"),
        values: match record.get("config") {
            None | Some(Value::Null) => json!({}),
            Some(values) => values.clone(),
        },
        manifest: text("/manifest"),
        hooks: hooks(record),
    })
}

/// Helm gives a revision that goes back the labels of the one that it goes back to, so its label says that one's fence.
/// Helm 4 writes down what it goes back to; of Helm 3 it is known while it does so.
fn is_rollback(status: HelmStatus, record: &Value) -> bool {
    let goes_back_to = record.pointer("/info/rollback_revision").and_then(Value::as_u64);
    status == HelmStatus::PendingRollback || goes_back_to.is_some_and(|revision| revision > 0)
}

pub(crate) fn fence_of_label(metadata: &ObjectMeta) -> Option<Fence> {
    metadata
        .labels
        .as_ref()?
        .get(FENCE_LABEL)?
        .parse()
        .ok()
        .map(Fence)
}

fn hooks(record: &Value) -> Vec<HelmHook> {
    let text = |hook: &Value, pointer: &str| {
        let found = hook.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let events = |hook: &Value| {
        let events = hook.get("events").and_then(Value::as_array);
        let words = events.into_iter().flatten().filter_map(Value::as_str);
        words.map(str::to_owned).collect()
    };
    let hooks = record.get("hooks").and_then(Value::as_array);
    let read = |hook| HelmHook {
        name: text(hook, "/name"),
        kind: text(hook, "/kind"),
        events: events(hook),
        phase: text(hook, "/last_run/phase"),
    };
    hooks.into_iter().flatten().map(read).collect()
}

/// The record of a revision that did not succeed. Everything else in it stays as helm wrote it.
pub(crate) fn failed(mut record: Value, why: &str) -> Result<Value, String> {
    let info = record.get_mut("info").and_then(Value::as_object_mut);
    let info = info.ok_or("it has no `info`")?;
    info.insert("status".to_owned(), json!(HelmStatus::Failed.word()));
    info.insert("description".to_owned(), json!(why));
    Ok(record)
}

#[cfg(test)]
#[path = "helm_record_tests.rs"]
mod tests;
