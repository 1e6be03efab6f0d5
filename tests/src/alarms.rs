//! CloudWatch alarms and the metrics that they watch, put as an application and its people would.

use crate::World;
use crate::wait::until;
use anyhow::{Context, Result};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, MetricDatum, StateValue, Statistic};
use std::time::Duration;

/// How long an alarm's state may take to follow its metric.
const PATIENCE: Duration = Duration::from_secs(30);
/// The namespace of the metrics.
const NAMESPACE: &str = "SluiceTests";

/// An alarm over errors of one service, by a metric of its own.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    client: Client,
    /// The value of the metric's dimension.
    service: String,
}

impl Alarm {
    /// An alarm of this name, OK while there is no data, or of this treatment of missing data. Its metric has the dimension
    /// `Service` with this value.
    pub async fn put(world: &World, name: &str, service: &str, missing_data: &str) -> Result<Self> {
        let client = Client::new(&world.config);
        let alarm = Self {
            name: name.to_owned(),
            client,
            service: service.to_owned(),
        };
        let put = alarm.client.put_metric_alarm().alarm_name(name);
        put.namespace(NAMESPACE)
            .metric_name("Errors")
            .dimensions(alarm.dimension())
            .statistic(Statistic::Sum)
            .period(60)
            .evaluation_periods(1)
            .threshold(1.0)
            .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
            .treat_missing_data(missing_data)
            .send()
            .await
            .context("putting an alarm")?;
        Ok(alarm)
    }

    fn dimension(&self) -> Dimension {
        Dimension::builder().name("Service").value(&self.service).build()
    }

    /// Errors happen: the alarm is in ALARM for as long as its period.
    pub async fn errors(&self) -> Result<()> {
        let datum = MetricDatum::builder()
            .metric_name("Errors")
            .dimensions(self.dimension())
            .value(5.0)
            .build();
        self.client
            .put_metric_data()
            .namespace(NAMESPACE)
            .metric_data(datum)
            .send()
            .await
            .context("putting a metric")?;
        Ok(())
    }

    /// Its state is set, as `aws cloudwatch set-alarm-state` does: the next evaluation puts it back.
    pub async fn set(&self, state: StateValue) -> Result<()> {
        self.client
            .set_alarm_state()
            .alarm_name(&self.name)
            .state_value(state)
            .state_reason("set by a test")
            .send()
            .await
            .context("setting an alarm's state")?;
        Ok(())
    }

    /// Its state now.
    pub async fn state(&self) -> Result<StateValue> {
        let answer = self
            .client
            .describe_alarms()
            .alarm_names(&self.name)
            .send()
            .await?;
        let state = answer
            .metric_alarms()
            .first()
            .and_then(|alarm| alarm.state_value().cloned());
        state.with_context(|| format!("there is no alarm {}", self.name))
    }

    /// Waits until it has this state.
    pub async fn until(&self, wanted: StateValue) -> Result<()> {
        until(
            &format!("{} in {}", self.name, wanted.as_str()),
            PATIENCE,
            || async {
                let state = self.state().await?;
                Ok(if state == wanted {
                    Ok(())
                } else {
                    Err(state.as_str().to_owned())
                })
            },
        )
        .await
    }

    /// Takes it away.
    pub async fn delete(&self) -> Result<()> {
        self.client
            .delete_alarms()
            .alarm_names(&self.name)
            .send()
            .await
            .context("deleting an alarm")?;
        Ok(())
    }
}
