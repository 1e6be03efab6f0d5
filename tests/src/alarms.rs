//! CloudWatch alarms and the metrics that they watch, put as an application and its people would.

use crate::World;
use crate::wait::until;
use anyhow::{Context, Result};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StateValue,
    Statistic,
};
use std::time::Duration;

/// How long an alarm's state may take to follow its metric.
const PATIENCE: Duration = Duration::from_secs(30);
/// The namespace of the metrics.
const NAMESPACE: &str = "SluiceTests";

/// The namespace of the metrics of simulated traffic.
const TRAFFIC: &str = "Simulated/Traffic";
/// Answers with an error, of a load balancer's target.
const ERRORS: &str = "HTTPCode_Target_5XX_Count";

/// What simulated traffic is counted for: a Service behind a router.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Where it is.
    pub namespace: String,
    /// Its name, such as `mc-api-green`.
    pub service: String,
}

impl Backend {
    fn dimensions(&self) -> Vec<Dimension> {
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        vec![
            dimension("Namespace", &self.namespace),
            dimension("Service", &self.service),
        ]
    }
}

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

    /// An alarm on the errors that a track answers with, by the metrics of its own traffic (README of infra/local, "Metrics"):
    /// three in ten seconds.
    pub async fn of_errors(world: &World, name: &str, of: &Backend) -> Result<Self> {
        let alarm = Self::named(world, name, of);
        let put = alarm.client.put_metric_alarm().alarm_name(name);
        put.namespace(TRAFFIC)
            .metric_name(ERRORS)
            .set_dimensions(Some(of.dimensions()))
            .statistic(Statistic::Sum)
            .period(10)
            .evaluation_periods(1)
            .threshold(3.0)
            .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
            .treat_missing_data("notBreaching")
            .send()
            .await
            .context("putting an alarm on errors")?;
        Ok(alarm)
    }

    /// An alarm on how many in a hundred of a track's requests are answered with an error: an expression over two metrics.
    pub async fn of_error_rate(world: &World, name: &str, of: &Backend) -> Result<Self> {
        let alarm = Self::named(world, name, of);
        let query = |id: &str, metric: &str| {
            let metric = Metric::builder()
                .namespace(TRAFFIC)
                .metric_name(metric)
                .set_dimensions(Some(of.dimensions()))
                .build();
            let stat = MetricStat::builder()
                .metric(metric)
                .period(10)
                .stat("Sum")
                .build();
            let query = MetricDataQuery::builder().id(id).metric_stat(stat);
            query.return_data(false).build()
        };
        let rate = MetricDataQuery::builder()
            .id("rate")
            .expression("100 * errors / requests")
            .return_data(true)
            .build();
        let put = alarm.client.put_metric_alarm().alarm_name(name);
        put.metrics(query("errors", ERRORS))
            .metrics(query("requests", "RequestCount"))
            .metrics(rate)
            .evaluation_periods(1)
            .threshold(10.0)
            .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
            .treat_missing_data("notBreaching")
            .send()
            .await
            .context("putting an alarm on a rate")?;
        Ok(alarm)
    }

    /// A composite alarm: in ALARM as long as this one is.
    pub async fn over(&self, world: &World, name: &str) -> Result<Self> {
        let alarm = Self {
            name: name.to_owned(),
            client: Client::new(&world.config),
            service: self.service.clone(),
        };
        let put = alarm.client.put_composite_alarm().alarm_name(name);
        put.alarm_rule(format!("ALARM(\"{}\")", self.name))
            .send()
            .await
            .context("putting a composite alarm")?;
        Ok(alarm)
    }

    fn named(world: &World, name: &str, of: &Backend) -> Self {
        Self {
            name: name.to_owned(),
            client: Client::new(&world.config),
            service: of.service.clone(),
        }
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
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .send()
            .await?;
        let of_metrics = answer
            .metric_alarms()
            .first()
            .and_then(|alarm| alarm.state_value());
        let composite = answer
            .composite_alarms()
            .first()
            .and_then(|alarm| alarm.state_value());
        let state = of_metrics.or(composite).cloned();
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
