//! The local AWS by its Query API (form in, XML out), as root: what the doubles of AWS's own services call.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::aws::REGION;

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Query {
    endpoint: String,
    service: &'static str,
    version: &'static str,
    client: reqwest::Client,
}

/// Parameters of an action.
#[derive(Debug, Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// With a parameter.
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// Adds a parameter.
    pub fn push(&mut self, name: impl Into<String>, value: impl ToString) {
        self.0.push((name.into(), value.to_string()));
    }
}

impl Query {
    /// Of a service by its name in signatures and the version of its API.
    pub fn new(endpoint: &str, service: &'static str, version: &'static str) -> Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            service,
            version,
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()?,
        })
    }

    /// The XML that an action answers.
    pub async fn call(&self, action: &str, form: Form) -> Result<String> {
        let form = form.with("Action", action).with("Version", self.version);
        // Root's keys are not checked; the local AWS reads the service from the signature's scope.
        let scope = format!("test/20260101/{REGION}/{}/aws4_request", self.service);
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
        let body: String = form
            .0
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect::<Vec<_>>()
            .join("&");
        let answer = self
            .client
            .post(&self.endpoint)
            .header("authorization", signature)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .with_context(|| format!("calling {action}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{action} answered {status}: {text}");
        }
        Ok(text)
    }
}

fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_cannot_carry_is_escaped() {
        assert_eq!(escape("a b&c=é/~"), "a%20b%26c%3D%C3%A9%2F~");
    }
}
