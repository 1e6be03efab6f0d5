//! Values that come from Secrets Manager: read for helm alone, and struck out of everything that is said.
//!
//! What an application prints is its own; but what Sluice gave it is not told on.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use serde_json::{Map, Value};
use sluice_domain::bundle::{Baseline, SecretValue};
use sluice_domain::environment::Environment;
use sluice_domain::helm::nested;
use sluice_lambda::Failure;
use sluice_table::Table;
use std::collections::BTreeMap;

/// What stands in the place of a text whose secrets are not known.
pub const WITHHELD: &str = "(not shown: the secrets that would be struck out of it cannot be read)";
/// What stands in the place of a secret.
const STRUCK: &str = "(secret)";
/// Shorter texts are words of any log: striking them out would hide what happened, and guards nothing.
const SHORTEST: usize = 4;

/// Secret values, and how to keep them unsaid.
#[derive(Default)]
pub struct Secrets {
    /// Which versions they are.
    pub versions: Vec<SecretValue>,
    /// As values for the chart.
    pub values: Value,
    texts: Vec<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

/// The present versions of these entries.
pub async fn current(client: &Client, wanted: &BTreeMap<String, String>) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    for (path, arn) in wanted {
        secrets.add(client, path, arn, None).await?;
    }
    Ok(secrets)
}

/// The versions that a bundle names.
pub async fn recorded(client: &Client, wanted: &[SecretValue]) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    for SecretValue { path, arn, version } in wanted {
        secrets.add(client, path, arn, Some(version)).await?;
    }
    Ok(secrets)
}

/// Every secret that Sluice gave what runs in an environment, or would give it now: of the live release, of what is rolled
/// out and of what was there before. None where one of them cannot be read: then nobody knows what to strike out.
pub async fn unsaid(client: &Client, table: &Table, environment: &Environment) -> Option<Secrets> {
    match all(client, table, environment).await {
        Ok(secrets) => Some(secrets),
        Err(error) => {
            tracing::warn!(%error, environment = %environment.name, "what a log may hold cannot be told");
            None
        }
    }
}

async fn all(client: &Client, table: &Table, environment: &Environment) -> Result<Secrets, Failure> {
    let rollout = environment.rollout.as_ref();
    let baseline = match rollout.and_then(|rollout| rollout.baseline.as_ref()) {
        Some(Baseline::Bundle { hash }) => Some(hash),
        Some(Baseline::Nothing) | None => None,
    };
    let bundles = [
        environment.live.as_ref().map(|live| &live.bundle),
        rollout.and_then(|rollout| rollout.target.as_ref()),
        baseline,
    ];
    let mut secrets = Secrets::default();
    for hash in bundles.into_iter().flatten() {
        let helm = table.bundle(hash).await?.helm;
        for SecretValue { path, arn, version } in helm.into_iter().flat_map(|helm| helm.secret_values) {
            let known = secrets
                .versions
                .iter()
                .any(|known| known.arn == arn && known.version == version);
            if !known {
                secrets.add(client, &path, &arn, Some(&version)).await?;
            }
        }
    }
    Ok(secrets)
}

/// A text without any of them; where they are not known, nothing of it.
pub fn struck(secrets: Option<&Secrets>, text: &str) -> String {
    match secrets {
        Some(secrets) => secrets.struck(text),
        None if text.trim().is_empty() => String::new(),
        None => WITHHELD.to_owned(),
    }
}

impl Secrets {
    /// Strikes out also what another one strikes out.
    pub fn also(&mut self, other: Self) {
        self.texts.extend(other.texts);
        self.sort();
    }

    fn sort(&mut self) {
        // The longest first: one may be a part of another.
        self.texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.texts.dedup();
    }

    async fn add(
        &mut self,
        client: &Client,
        path: &str,
        arn: &str,
        version: Option<&str>,
    ) -> Result<(), Failure> {
        let call = client
            .get_secret_value()
            .secret_id(arn)
            .set_version_id(version.map(str::to_owned));
        let found = call.send().await.map_err(|error| failed(path, arn, error))?;
        let (Some(text), Some(version)) = (found.secret_string, found.version_id) else {
            return Err(Failure::refused(format!(
                "secret_values.\"{path}\": {arn} holds no text"
            )));
        };
        self.versions.push(SecretValue {
            path: path.to_owned(),
            arn: arn.to_owned(),
            version,
        });
        if !self.values.is_object() {
            self.values = Value::Object(Map::new());
        }
        nested(&mut self.values, path, Value::String(text.clone()));
        self.texts.push(text);
        self.sort();
        Ok(())
    }

    /// The text without any of them, as they are, in base64, and as JSON writes them.
    pub fn struck(&self, text: &str) -> String {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let mut text = text.to_owned();
        for secret in self.texts.iter().filter(|secret| secret.len() >= SHORTEST) {
            let json = serde_json::to_string(secret).unwrap_or_default();
            let json = json.trim_matches('"');
            for form in [secret.as_str(), json, &STANDARD.encode(secret)] {
                text = text.replace(form, STRUCK);
            }
            // A log cuts lines where the secret has them.
            for line in secret.lines().filter(|line| line.len() >= 16) {
                text = text.replace(line, STRUCK);
            }
        }
        text
    }
}

fn failed<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(
    path: &str,
    arn: &str,
    error: SdkError<E, R>,
) -> Failure {
    let said = error.message().unwrap_or("no reason was given");
    let what = format!("secret_values.\"{path}\": {arn} cannot be read: {said}");
    match error.code() {
        Some(
            "ResourceNotFoundException"
            | "AccessDeniedException"
            | "InvalidRequestException"
            | "DecryptionFailure",
        ) => Failure::refused(what),
        _ => Failure::transient(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_said() {
        let secrets = Secrets {
            texts: vec!["p\"ss-word-1234".into(), "ss-word".into(), "ab".into()],
            ..Secrets::default()
        };
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD.encode("p\"ss-word-1234");
        let said =
            format!("plain p\"ss-word-1234, json p\\\"ss-word-1234, base64 {base64}, part ss-word, short ab");
        let struck = secrets.struck(&said);
        assert_eq!(
            struck,
            "plain (secret), json (secret), base64 (secret), part (secret), short ab"
        );
    }
}
