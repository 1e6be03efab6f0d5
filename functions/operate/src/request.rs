//! Reading a request, and naming the field that is wrong.

use serde_json::{Map, Value};
use sluice_domain::api::Request;

/// The request, or what is wrong with it in a sentence.
pub fn read(body: &[u8]) -> Result<Request, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("The body is no JSON: {error}."))?;
    let Value::Object(fields) = value else {
        return Err("The body is no JSON object: right would be {\"command\": \"status\"}.".to_owned());
    };
    understood(&fields).map_err(|error| match culprit(&fields, &error) {
        Some(field) => format!("Field `{field}` of the request is wrong: {error}."),
        None => format!("The request is wrong: {error}."),
    })
}

fn understood(fields: &Map<String, Value>) -> Result<Request, String> {
    serde_json::from_value(Value::Object(fields.clone())).map_err(|error| error.to_string())
}

/// The field without which there is another error, or none. serde loses the path inside a tagged enum, since it reads
/// the fields before it knows the command.
///
/// What is missing is said after everything that is there was read, and serde names it: no field is to blame where one
/// more, read last, is complained of first.
fn culprit<'a>(fields: &'a Map<String, Value>, error: &str) -> Option<&'a str> {
    let same_error = |fields: &Map<String, Value>| understood(fields).err().as_deref() == Some(error);
    let mut more = fields.clone();
    more.insert("~".to_owned(), Value::Null);
    if !same_error(&more) {
        return None;
    }
    let is_to_blame = |field: &&String| {
        let mut others = fields.clone();
        others.remove(*field);
        !same_error(&others)
    };
    fields
        .keys()
        .filter(|field| *field != "command")
        .find(is_to_blame)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let bodies = [
            "",
            "{",
            "[]",
            "{}",
            r#"{"command": "stop"}"#,
            r#"{"command": 5}"#,
            r#"{"command": "promote", "service": "mc-api"}"#,
            r#"{"command": "promote", "service": "MC", "environment": "dev"}"#,
            r#"{"command": "promote", "service": "mc-api", "environment": "pre-prod"}"#,
            r##"{"command": "promote", "service": "mc-api", "environment": "dev", "release": "#42"}"##,
            r#"{"command": "promote", "service": "mc-api", "environment": "dev", "release": -1}"#,
            r#"{"command": "promote", "service": "mc-api", "environment": "dev", "releese": 42}"#,
            r#"{"command": "apply", "file": "a.toml", "text": "", "manifests": {"a.yaml": 5}}"#,
            r#"{"command": "history", "service": "mc-api", "limit": "all"}"#,
        ];
        let told = bodies.map(|body| {
            format!(
                "{body}\n  {}",
                read(body.as_bytes()).map_or_else(|error| error, |_| "fine".into())
            )
        });
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_whole_request_is_read() {
        let body = br#"{"command": "promote", "service": "mc-api", "environment": "dev"}"#;
        assert!(matches!(read(body), Ok(Request::Promote { release: None, .. })));
    }
}
