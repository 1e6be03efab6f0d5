//! What `roll-back` is called with, and by whom.

use jiff::Timestamp;
use serde::Deserialize;
use sluice_domain::ids::{EnvironmentName, ReleaseNumber, ServiceName};
use sluice_domain::rollback::Call;
use sluice_lambda::Failure;
use sluice_table::Table;

/// A call: by hand (`service`, `environment`, `to`, `reason`), or through a door that recorded who asks (`service`,
/// `request`). An invocation itself carries no caller, so whoever the payload says it is from is not believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    service: ServiceName,
    #[serde(default)]
    environment: Option<EnvironmentName>,
    #[serde(default)]
    to: Option<ReleaseNumber>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    request: Option<String>,
}

/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 500;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The rest.
    pub call: Call,
}

impl Input {
    /// The call, with who asks.
    pub async fn asked(self, table: &Table, now: Timestamp) -> Result<Asked, Failure> {
        match (self.request, self.environment) {
            (Some(request), None) => recorded(table, &self.service, &request, now).await,
            (None, Some(environment)) => {
                let reason = self
                    .reason
                    .map(|reason| reason.chars().take(LONGEST_REASON).collect());
                let call = Call {
                    to: self.to,
                    restore: false,
                    by: "invoked directly".to_owned(),
                    reason,
                    undoes: None,
                };
                Ok(Asked {
                    service: self.service,
                    environment,
                    call,
                })
            }
            (Some(_), Some(_)) => Err(Failure::invalid("give `environment` or `request`, not both")),
            (None, None) => Err(Failure::invalid(
                "`environment` is missing: right would be {\"service\": \"mc-api\", \"environment\": \"production\"}",
            )),
        }
    }
}

async fn recorded(table: &Table, service: &ServiceName, id: &str, now: Timestamp) -> Result<Asked, Failure> {
    let request = table
        .request(service, id)
        .await?
        .filter(|request| request.expires > now.as_second());
    let request =
        request.ok_or_else(|| Failure::invalid(format!("there is no request `{id}` for {service}")))?;
    let call = Call {
        to: request.to,
        restore: request.restore,
        by: request.by,
        reason: request.reason,
        undoes: request.undoes,
    };
    Ok(Asked {
        service: request.service,
        environment: request.environment,
        call,
    })
}
