//! The adapter to CloudWatch, against the local one: pages, types, times, and what cannot be read.

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StateValue};
use jiff::{SignedDuration, Timestamp};
use sluice_alarms::Alarms;
use sluice_aws::AwsPlace;
use sluice_domain::alarm::{AlarmKind, AlarmState, Counted, SeenAlarm, Sight};
use sluice_domain::pipeline::Requests;
use sluice_tests::World;
use sluice_tests::alarms::Alarm;

fn seen<'a>(sight: &'a Sight, name: &str) -> Result<&'a SeenAlarm> {
    match sight {
        Sight::Seen(found) => Ok(found),
        other => anyhow::bail!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn every_alarm_that_is_asked_for_is_answered_whatever_it_is_made_of() -> Result<()> {
    let world = World::load().await?;
    let client = aws_sdk_cloudwatch::Client::new(&world.config);
    let before = Timestamp::now();
    // Given more alarms than one page has, a composite one over the first, and names that nobody has
    let mut alarms = Vec::new();
    for number in 0..60 {
        let name = format!("t-cloudwatch-{number:02}");
        alarms.push(Alarm::put(&world, &name, &name, "notBreaching").await?);
    }
    let first = alarms.first().context("there are some")?;
    let composite = "t-cloudwatch-composite";
    client
        .put_composite_alarm()
        .alarm_name(composite)
        .alarm_rule(format!("ALARM(\"{}\")", first.name))
        .send()
        .await?;
    first.errors().await?;
    first.until(StateValue::Alarm).await?;
    let mut names: Vec<String> = alarms.iter().map(|alarm| alarm.name.clone()).collect();
    names.push(composite.to_owned());
    names.extend((0..60).map(|number| format!("t-cloudwatch-nobodys-{number}")));
    // When they are looked at
    let adapter = Alarms::new(&world.config);
    let found = adapter.look(&AwsPlace::default(), &names, before).await;
    // Then each is answered for what it is
    ensure!(
        found.0.len() == names.len(),
        "{} of {}",
        found.0.len(),
        names.len()
    );
    for name in &names {
        let missing = matches!(found.of(name), Sight::Missing);
        ensure!(
            missing == name.contains("nobodys"),
            "{name}: {:?}",
            found.of(name)
        );
    }
    let metric = seen(found.of(&first.name), &first.name)?;
    ensure!(
        (metric.kind, metric.state) == (AlarmKind::Metric, AlarmState::Alarm),
        "{metric:?}"
    );
    ensure!(metric.since >= before, "{metric:?}");
    let turned = metric
        .changes
        .iter()
        .find(|change| change.to == AlarmState::Alarm);
    let turned = turned.context("its history has the change")?;
    // The alarm's own time and its history's differ by no more than the milliseconds that each is cut to.
    let apart = turned.at.duration_since(metric.since).abs();
    ensure!(apart <= SignedDuration::from_millis(50), "{metric:?}");
    ensure!(
        !turned.reason.is_empty() && metric.changes_incomplete.is_none(),
        "{metric:?}"
    );
    let composite_seen = seen(found.of(composite), composite)?;
    ensure!(composite_seen.kind == AlarmKind::Composite, "{composite_seen:?}");
    // And nothing of before the time that is asked for
    let later = turned.at.checked_add(SignedDuration::from_secs(2))?;
    let found = adapter.look(&AwsPlace::default(), &names, later).await;
    let metric = seen(found.of(&first.name), &first.name)?;
    ensure!(
        metric.changes.iter().all(|change| change.to != AlarmState::Alarm),
        "{metric:?}"
    );
    client.delete_alarms().alarm_names(composite).send().await?;
    for alarm in &alarms {
        alarm.delete().await?;
    }
    Ok(())
}

#[tokio::test]
async fn requests_are_counted_for_the_track_alone() -> Result<()> {
    let world = World::load().await?;
    let client = aws_sdk_cloudwatch::Client::new(&world.config);
    let since = Timestamp::now();
    for (track, value) in [
        ("t-count-green", 7.0),
        ("t-count-green", 5.0),
        ("t-count-blue", 1_000.0),
    ] {
        let datum = MetricDatum::builder()
            .metric_name("Requests")
            .dimensions(Dimension::builder().name("Service").value(track).build())
            .value(value)
            .build();
        client
            .put_metric_data()
            .namespace("SluiceTests")
            .metric_data(datum)
            .send()
            .await?;
    }
    let requests = Requests {
        namespace: "SluiceTests".into(),
        metric: "Requests".into(),
        dimensions: [("Service".to_owned(), "{track}".to_owned())].into(),
        at_least: 10,
    };
    let adapter = Alarms::new(&world.config);
    let place = AwsPlace::default();
    for (track, right) in [("t-count-green", 12), ("t-count-nobody", 0)] {
        let counted = adapter
            .count(&place, &requests, track, since, Timestamp::now())
            .await;
        ensure!(counted == Counted::Count(right), "{track}: {counted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_an_answer() -> Result<()> {
    let world = World::load().await?;
    let config = world
        .config
        .to_builder()
        .endpoint_url("http://127.0.0.1:1")
        .build();
    let role = "arn:aws:iam::000000000000:role/t-cloudwatch-nobody".to_owned();
    for (config, place) in [
        (config, AwsPlace::default()),
        (
            world.config.clone(),
            AwsPlace {
                role: Some(role),
                region: None,
            },
        ),
    ] {
        let names = ["t-cloudwatch-any".to_owned()];
        let found = Alarms::new(&config).look(&place, &names, Timestamp::now()).await;
        ensure!(
            matches!(found.of("t-cloudwatch-any"), Sight::Unreadable(why) if !why.is_empty()),
            "{found:?}"
        );
    }
    Ok(())
}
