//! Logs, as Lambda's logging controls want them.

use std::str::FromStr;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates whose own chatter is never shown below a warning. This is also a safeguard: at their finest levels some of
/// them log whole requests, and ours carry task tokens.
const QUIET: [&str; 15] = [
    "aws_config",
    "aws_runtime",
    "aws_sdk_cloudwatch",
    "aws_sdk_dynamodb",
    "aws_sdk_ecr",
    "aws_sdk_eks",
    "aws_sdk_lambda",
    "aws_sdk_sfn",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
];

/// Starts logging to standard output: `AWS_LAMBDA_LOG_FORMAT` (`JSON` or text) and `AWS_LAMBDA_LOG_LEVEL` say how
/// (Lambda developer guide, "Configuring advanced logging controls"). Starting it again changes nothing.
pub fn start() {
    let is_json =
        std::env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let filter = filter(std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref());
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if is_json {
        registry
            .with(lines.json().flatten_event(true).with_current_span(false))
            .try_init()
    } else {
        registry.with(lines.with_ansi(false).without_time()).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

/// What is shown at this level; `INFO` where none, or none known, is given. Lambda's `FATAL` is shown as errors.
fn filter(level: Option<&str>) -> Targets {
    let level = match level {
        Some(level) if level.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        Some(level) => LevelFilter::from_str(level).unwrap_or(LevelFilter::INFO),
        None => LevelFilter::INFO,
    };
    let quiet = level.min(LevelFilter::from_level(Level::WARN));
    Targets::new()
        .with_default(level)
        .with_targets(QUIET.map(|target| (target, quiet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_never_logs_requests_whatever_the_level() {
        for level in [None, Some("TRACE"), Some("debug"), Some("nonsense")] {
            let filter = filter(level);
            assert!(filter.would_enable("sluice_table", &Level::INFO), "{level:?}");
            assert!(
                !filter.would_enable("aws_smithy_runtime::client::orchestrator", &Level::DEBUG),
                "{level:?}"
            );
            assert!(
                !filter.would_enable("aws_sdk_sfn::operation", &Level::INFO),
                "{level:?}"
            );
            assert!(
                filter.would_enable("hyper_util::client", &Level::WARN),
                "{level:?}"
            );
        }
        assert!(filter(Some("TRACE")).would_enable("roll_back", &Level::TRACE));
        assert!(!filter(Some("FATAL")).would_enable("hyper", &Level::WARN));
    }
}
