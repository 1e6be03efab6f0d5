//! Which calls are disturbed, and how.

use serde::{Deserialize, Serialize};

/// The target of calls to the local AWS; others are the names of clusters.
pub const AWS: &str = "aws";

/// One call of a function, as the proxy saw it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// [`AWS`] or a cluster's name.
    pub target: String,
    /// AWS: the service that the request is signed for (`dynamodb`, `states`, `lambda`, `eks`, `ecr`, `sts`).
    pub service: String,
    /// AWS: the operation where the request names it (`PutItem`); else the method and path.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Access key that signed it.
    pub access_key: Option<String>,
    /// The function that made it, by its name in AWS.
    pub function: Option<String>,
    /// Its process.
    pub pid: Option<i32>,
    /// The request's body as text.
    #[serde(skip)]
    pub body: String,
}

/// Disturbs the calls that match everything given; what is empty or none matches all.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// [`AWS`] or a cluster's name.
    #[serde(default)]
    pub target: Option<String>,
    /// As in [`Call::service`].
    #[serde(default)]
    pub service: Option<String>,
    /// As in [`Call::operation`].
    #[serde(default)]
    pub operation: Option<String>,
    /// HTTP method.
    #[serde(default)]
    pub method: Option<String>,
    /// Part of path and query.
    #[serde(default)]
    pub path: Option<String>,
    /// Part of the body.
    #[serde(default)]
    pub body: Option<String>,
    /// Part of the function's name.
    #[serde(default)]
    pub function: Option<String>,
    /// Acts from the nth matching call on; 1 is the first.
    #[serde(default = "one")]
    pub nth: u32,
    /// Acts so often; 0: always.
    #[serde(default = "one")]
    pub times: u32,
    /// What it does.
    pub action: Action,
}

fn one() -> u32 {
    1
}

/// What is done to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Held before it is passed on.
    HoldBefore,
    /// Passed on; its answer is withheld.
    HoldAfter,
    /// Passed on after so many milliseconds.
    Delay(u64),
    /// Answered with this, not passed on.
    Error {
        /// HTTP status.
        status: u16,
        /// The answer's body.
        body: String,
    },
}

impl Rule {
    /// Calls to an operation of an AWS service.
    pub fn aws(service: &str, operation: &str) -> Self {
        Self {
            service: Some(service.into()),
            operation: Some(operation.into()),
            ..Self::any(AWS)
        }
    }

    /// Calls to a cluster's API server with this method and this in path and query.
    pub fn kubernetes(cluster: &str, method: &str, path: &str) -> Self {
        Self {
            method: Some(method.into()),
            path: Some(path.into()),
            ..Self::any(cluster)
        }
    }

    fn any(target: &str) -> Self {
        Self {
            target: Some(target.into()),
            service: None,
            operation: None,
            method: None,
            path: None,
            body: None,
            function: None,
            nth: 1,
            times: 1,
            action: Action::HoldBefore,
        }
    }

    /// Only calls whose body contains this.
    pub fn body(self, part: &str) -> Self {
        Self {
            body: Some(part.into()),
            ..self
        }
    }

    /// Only calls whose path and query contain this.
    pub fn path(self, part: &str) -> Self {
        Self {
            path: Some(part.into()),
            ..self
        }
    }

    /// Only calls of functions whose name contains this.
    pub fn function(self, part: &str) -> Self {
        Self {
            function: Some(part.into()),
            ..self
        }
    }

    /// From the nth matching call on; 1 is the first.
    pub fn nth(self, nth: u32) -> Self {
        Self { nth, ..self }
    }

    /// So often; 0: always.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// What it does.
    pub fn then(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// Whether it disturbs this call, its number apart.
    pub fn matches(&self, call: &Call) -> bool {
        let equal =
            |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let within = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| found.contains(wanted))
        };
        equal(&self.target, &call.target)
            && equal(&self.service, &call.service)
            && equal(&self.operation, &call.operation)
            && equal(&self.method, &call.method)
            && within(&self.path, &call.path)
            && within(&self.body, &call.body)
            && within(&self.function, call.function.as_deref().unwrap_or_default())
    }
}

/// A call that waits in the proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    /// To release or drop it by.
    pub id: u64,
    /// False: it was not passed on. True: it took effect and its answer waits.
    pub after: bool,
    /// HTTP status of the answer that waits.
    pub status: Option<u16>,
    /// The call.
    pub call: Call,
}

/// A rule that acted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fired {
    /// What it did.
    pub action: Action,
    /// To which call.
    pub call: Call,
}

/// For tests: a call to DynamoDB.
#[cfg(test)]
pub fn sample(operation: &str, body: &str) -> Call {
    Call {
        target: AWS.into(),
        service: "dynamodb".into(),
        operation: operation.into(),
        method: "POST".into(),
        path: "/".into(),
        access_key: None,
        function: Some("sluice-take-lease".into()),
        pid: None,
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_part_must_match() {
        for (rule, matches) in [
            (Rule::aws("dynamodb", "PutItem").body("lease"), true),
            (Rule::aws("dynamodb", "PutItem").body("fence"), false),
            (Rule::aws("states", "PutItem"), false),
            (Rule::aws("dynamodb", "PutItem").function("roll-back"), false),
            (Rule::kubernetes("mc-dev-eks", "POST", "/"), false),
        ] {
            assert_eq!(rule.matches(&sample("PutItem", "the lease")), matches, "{rule:?}");
        }
    }

    #[test]
    fn rules_travel_as_json() {
        let text = r#"{"service": "states", "action": {"error": {"status": 500, "body": "no"}}}"#;
        let rule: Rule = serde_json::from_str(text).unwrap();
        assert_eq!(
            (rule.nth, rule.times, rule.action),
            (
                1,
                1,
                Action::Error {
                    status: 500,
                    body: "no".into()
                }
            )
        );
        assert!(serde_json::from_str::<Rule>(r#"{"sevice": "states", "action": "hold-before"}"#).is_err());
    }
}
