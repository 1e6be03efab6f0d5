//! What every function shares: named errors, settings, metrics, logs, and the wiring around a handler.
//!
//! ```no_run
//! # use sluice_lambda::{Failure, Invocation, config, logs, run, settings};
//! # async fn handle(_table: &str, _event: Invocation<serde_json::Value>) -> Result<(), Failure> { Ok(()) }
//! # async fn main_of_a_function() -> Result<(), sluice_lambda::RuntimeError> {
//! logs::start();
//! let [table] = settings::required([settings::TABLE])?;
//! let _clients_are_made_from = config().await;
//! let table = &table;
//! run(move |event| handle(table, event)).await
//! # }
//! ```

mod conversions;
mod failure;
pub mod logs;
pub mod metrics;
mod runtime;
pub mod settings;
mod trust;

pub use failure::{ErrorName, Failure};
pub use lambda_runtime::Error as RuntimeError;
pub use metrics::{About, Metric, Metrics};
pub use runtime::{Invocation, config, now, run};
