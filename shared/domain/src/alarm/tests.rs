#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::samples::at;
use proptest::prelude::*;
use std::slice::from_ref;

const SHIFT: i64 = 100;
const NOW: i64 = 400;

fn name() -> String {
    "mc-api-5xx".to_owned()
}

fn window() -> Window {
    Window {
        shifted_at: at(SHIFT),
        now: at(NOW),
    }
}

fn change(second: i64, from: AlarmState, to: AlarmState) -> StateChange {
    StateChange {
        at: at(second),
        from: Some(from),
        to,
        reason: format!("{from} to {to}"),
    }
}

fn alarm(state: AlarmState, since: i64, changes: Vec<StateChange>) -> SeenAlarm {
    SeenAlarm {
        kind: AlarmKind::Metric,
        state,
        since: at(since),
        reason: "as CloudWatch says.".into(),
        evaluation: None,
        missing_data: Some(MissingData::NotBreaching),
        metric: None,
        changes,
        changes_incomplete: None,
    }
}

fn seen(sight: Sight) -> AlarmsSeen {
    AlarmsSeen([(name(), sight)].into())
}

fn judged(sight: Sight, despite: bool) -> Judgement {
    let wanted = name();
    let despite = if despite { from_ref(&wanted) } else { &[] };
    judge(from_ref(&wanted), &seen(sight), None, window(), despite)
}

fn in_short(judgement: &Judgement) -> String {
    match &judgement.verdict {
        Verdict::Passed => "passed".into(),
        Verdict::Failed(why) => format!("failed: {why}"),
        Verdict::Inconclusive(why) => format!("inconclusive: {why}"),
    }
}

use AlarmState::{Alarm, InsufficientData as NoData, Ok as Fine};

/// The same states and histories, judged without and in spite of the alarm.
#[test]
fn every_state_and_history() {
    let flap = || vec![change(200, Fine, Alarm), change(210, Alarm, Fine)];
    let table: Vec<(&str, Sight)> = vec![
        ("OK all the time", Sight::Seen(alarm(Fine, 0, vec![]))),
        (
            "OK again since before the shift",
            Sight::Seen(alarm(Fine, 90, vec![])),
        ),
        (
            "ALARM since the shift",
            Sight::Seen(alarm(Alarm, 200, vec![change(200, Fine, Alarm)])),
        ),
        (
            "ALARM exactly at the shift",
            Sight::Seen(alarm(Alarm, SHIFT, vec![change(SHIFT, Fine, Alarm)])),
        ),
        (
            "ALARM a second before the shift",
            Sight::Seen(alarm(Alarm, SHIFT - 1, vec![change(SHIFT - 1, Fine, Alarm)])),
        ),
        (
            "ALARM, its history comes late",
            Sight::Seen(alarm(Alarm, 200, vec![])),
        ),
        ("flapped back to OK", Sight::Seen(alarm(Fine, 210, flap()))),
        (
            "flapped back to no data",
            Sight::Seen(alarm(
                NoData,
                210,
                vec![change(200, Fine, Alarm), change(210, Alarm, NoData)],
            )),
        ),
        (
            "flapped before the shift",
            Sight::Seen(alarm(
                Fine,
                20,
                vec![change(10, Fine, Alarm), change(20, Alarm, Fine)],
            )),
        ),
        (
            "doubled entries",
            Sight::Seen(alarm(Fine, 210, [flap(), flap()].concat())),
        ),
        (
            "entries in another order",
            Sight::Seen(alarm(Fine, 210, flap().into_iter().rev().collect())),
        ),
        (
            "stands, recovers after the shift",
            Sight::Seen(alarm(Fine, 200, vec![change(200, Alarm, Fine)])),
        ),
        (
            "stands, recovers, fires again",
            Sight::Seen(alarm(
                Alarm,
                300,
                vec![change(200, Alarm, Fine), change(300, Fine, Alarm)],
            )),
        ),
        (
            "stands, loses its data, fires again",
            Sight::Seen(alarm(
                Alarm,
                300,
                vec![change(200, Alarm, NoData), change(300, NoData, Alarm)],
            )),
        ),
        (
            "stands, recovers, no data, fires",
            Sight::Seen(alarm(
                Alarm,
                300,
                vec![
                    change(150, Alarm, Fine),
                    change(200, Fine, NoData),
                    change(300, NoData, Alarm),
                ],
            )),
        ),
        (
            "stands, loses its data",
            Sight::Seen(alarm(NoData, 200, vec![change(200, Alarm, NoData)])),
        ),
        (
            "from ALARM to ALARM",
            Sight::Seen(alarm(Alarm, 50, vec![change(200, Alarm, Alarm)])),
        ),
        ("no data all the time", Sight::Seen(alarm(NoData, 0, vec![]))),
        ("missing", Sight::Missing),
        ("unreadable", Sight::Unreadable("too many requests".into())),
        (
            "evaluated in part",
            Sight::Seen(SeenAlarm {
                evaluation: Some("PARTIAL_DATA".into()),
                ..alarm(Fine, 0, vec![])
            }),
        ),
        (
            "evaluated in part, in ALARM",
            Sight::Seen(SeenAlarm {
                evaluation: Some("PARTIAL_DATA".into()),
                ..alarm(Alarm, 200, vec![change(200, Fine, Alarm)])
            }),
        ),
        (
            "history cut short",
            Sight::Seen(SeenAlarm {
                changes_incomplete: Some("no usable answer".into()),
                ..alarm(Fine, 0, vec![])
            }),
        ),
        (
            "history cut short, it blames",
            Sight::Seen(SeenAlarm {
                changes_incomplete: Some("no usable answer".into()),
                ..alarm(Fine, 210, flap())
            }),
        ),
        (
            "missing data breaches",
            Sight::Seen(SeenAlarm {
                missing_data: Some(MissingData::Breaching),
                ..alarm(Alarm, 200, vec![change(200, NoData, Alarm)])
            }),
        ),
    ];
    let lines: Vec<String> = table
        .into_iter()
        .map(|(what, sight)| {
            let (plain, despite) = (judged(sight.clone(), false), judged(sight, true));
            format!(
                "{what}\n    {}\n    despite: {}",
                in_short(&plain),
                in_short(&despite)
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_earliest_blames_and_every_doubt_is_told() {
    let wanted: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let mut seen = AlarmsSeen(
        [
            ("a".to_owned(), Sight::Seen(alarm(Fine, 0, vec![]))),
            ("b".to_owned(), Sight::Seen(alarm(NoData, 0, vec![]))),
            ("c".to_owned(), Sight::Unreadable("not allowed".into())),
        ]
        .into(),
    );
    let few = RequestsSeen {
        counted: Counted::Count(12),
        at_least: 100,
    };
    let told = judge(&wanted, &seen, Some(&few), window(), &[]);
    insta::assert_snapshot!(in_short(&told));
    assert_eq!(told.blame, None);
    seen.0.insert("a".into(), Sight::Seen(alarm(Alarm, 300, vec![])));
    seen.0.insert("d".into(), Sight::Seen(alarm(Alarm, 200, vec![])));
    let told = judge(&wanted, &seen, Some(&few), window(), &[]);
    assert_eq!(
        told.blame.map(|blame| (blame.alarm, blame.at)),
        Some(("d".to_owned(), at(200)))
    );
}

#[test]
fn requests_that_are_too_few_or_unknown_do_not_pass() {
    let sight = || seen(Sight::Seen(alarm(Fine, 0, vec![])));
    let verdict = |counted| {
        let requests = RequestsSeen {
            counted,
            at_least: 100,
        };
        in_short(&judge(&[name()], &sight(), Some(&requests), window(), &[]))
    };
    assert_eq!(verdict(Counted::Count(100)), "passed");
    assert_eq!(
        verdict(Counted::Count(99)),
        "inconclusive: 99 requests in the 300 s since the shift: below 100 the alarms say nothing"
    );
    assert_eq!(
        verdict(Counted::Unreadable("not allowed".into())),
        "inconclusive: the number of requests cannot be read: not allowed"
    );
}

#[test]
fn what_keeps_traffic_from_being_shifted() {
    let before = |sight, despite: &[String]| standing_before(&[name()], &seen(sight), despite);
    for (sight, kept) in [
        (Sight::Seen(alarm(Fine, 0, vec![])), false),
        (Sight::Seen(alarm(NoData, 0, vec![])), false),
        (Sight::Seen(alarm(Alarm, 0, vec![])), true),
        (Sight::Missing, true),
        (Sight::Unreadable("not allowed".into()), true),
    ] {
        assert_eq!(before(sight.clone(), &[]).is_some(), kept, "{sight:?}");
    }
    // A person may say that it stands; not that it may be missing or unreadable.
    assert_eq!(before(Sight::Seen(alarm(Alarm, 0, vec![])), &[name()]), None);
    assert!(before(Sight::Missing, &[name()]).is_some());
    insta::assert_snapshot!(before(Sight::Seen(alarm(Alarm, 0, vec![])), &[]).unwrap(), @"alarm mc-api-5xx is in ALARM since 1970-01-12 13:46:40 UTC (as CloudWatch says), before this release got any traffic");
}

#[test]
fn long_words_of_cloudwatch_are_cut() {
    let blame = Blame {
        alarm: name(),
        at: at(0),
        reason: "é".repeat(1_000),
    };
    let said = blame.to_string();
    assert!(said.chars().count() < 400 && said.ends_with("...)"), "{said}");
    assert_eq!(
        Blame {
            reason: " ".into(),
            ..blame
        }
        .to_string(),
        "alarm mc-api-5xx went into ALARM at 1970-01-12 13:46:40 UTC"
    );
}

#[test]
fn what_is_said_before_an_alarm_is_needed() {
    let metric = |namespace: &str, name: &str| AlarmMetric {
        namespace: namespace.into(),
        name: name.into(),
    };
    let of = |name: &str, missing_data, state| SeenAlarm {
        metric: Some(metric("AWS/ApplicationELB", name)),
        missing_data,
        ..alarm(state, 0, vec![])
    };
    let table = [
        ("errors", Sight::Seen(of("HTTPCode_Target_5XX_Count", None, Fine))),
        (
            "errors-ignored",
            Sight::Seen(of("HTTPCode_Target_5XX_Count", Some(MissingData::Ignore), Fine)),
        ),
        (
            "errors-well",
            Sight::Seen(of(
                "HTTPCode_Target_5XX_Count",
                Some(MissingData::NotBreaching),
                NoData,
            )),
        ),
        (
            "latency",
            Sight::Seen(of("TargetResponseTime", Some(MissingData::Missing), Fine)),
        ),
        (
            "requests",
            Sight::Seen(of("RequestCount", Some(MissingData::Breaching), Fine)),
        ),
        (
            "hosts",
            Sight::Seen(of("HealthyHostCount", Some(MissingData::Missing), Fine)),
        ),
        (
            "own",
            Sight::Seen(SeenAlarm {
                missing_data: None,
                ..alarm(NoData, 0, vec![])
            }),
        ),
        (
            "own-with-data",
            Sight::Seen(SeenAlarm {
                missing_data: None,
                ..alarm(Fine, 0, vec![])
            }),
        ),
        (
            "composite",
            Sight::Seen(SeenAlarm {
                kind: AlarmKind::Composite,
                missing_data: None,
                ..alarm(NoData, 0, vec![])
            }),
        ),
        (
            "partial",
            Sight::Seen(SeenAlarm {
                evaluation: Some("EVALUATION_ERROR".into()),
                ..alarm(NoData, 0, vec![])
            }),
        ),
        ("gone", Sight::Missing),
        ("denied", Sight::Unreadable("not allowed".into())),
    ];
    let wanted: Vec<String> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
    let seen = AlarmsSeen(table.map(|(name, sight)| (name.to_owned(), sight)).into());
    insta::assert_snapshot!(warnings(&wanted, &seen).join("\n"));
}

#[test]
fn an_alarm_is_in_the_account_of_the_environments_role_and_in_its_region() {
    let ours = AlarmHome {
        account: "111111111111".into(),
        region: "eu-west-1".into(),
    };
    let home = |role: Option<&str>, region: Option<&str>| {
        let spec = crate::pipeline::EnvironmentSpec {
            role: role.map(str::to_owned),
            region: region.map(str::to_owned),
            ..crate::samples::spec(None)
        };
        let AlarmHome { account, region } = AlarmHome::of(&spec, &ours);
        format!("{account} {region}")
    };
    let role = Some("arn:aws:iam::222222222222:role/sluice-production");
    assert_eq!(home(None, None), "111111111111 eu-west-1");
    assert_eq!(home(role, None), "222222222222 eu-west-1");
    assert_eq!(home(role, Some("us-east-1")), "222222222222 us-east-1");
    assert_eq!(home(None, Some("us-east-1")), "111111111111 us-east-1");
}

fn any_state() -> impl Strategy<Value = AlarmState> {
    prop_oneof![Just(Fine), Just(Alarm), Just(NoData)]
}

fn any_change() -> impl Strategy<Value = StateChange> {
    (0..NOW, prop::option::of(any_state()), any_state(), "[ab]").prop_map(|(second, from, to, reason)| {
        StateChange {
            at: at(second),
            from,
            to,
            reason,
        }
    })
}

fn any_sight() -> impl Strategy<Value = Sight> {
    let evaluation = prop::option::weighted(0.2, Just("PARTIAL_DATA".to_owned()));
    let incomplete = prop::option::weighted(0.2, Just("no usable answer".to_owned()));
    let changes = prop::collection::vec(any_change(), 0..6);
    let found = (any_state(), 0..NOW, changes, evaluation, incomplete);
    prop_oneof![
        8 => found.prop_map(|(state, since, changes, evaluation, changes_incomplete)| {
            Sight::Seen(SeenAlarm { evaluation, changes_incomplete, ..alarm(state, since, changes) })
        }),
        1 => Just(Sight::Missing),
        1 => Just(Sight::Unreadable("not allowed".to_owned())),
    ]
}

fn worse(sight: Sight, news: StateChange) -> Sight {
    match sight {
        Sight::Seen(mut found) => {
            found.changes.push(news);
            Sight::Seen(found)
        }
        unseen => unseen,
    }
}

/// An event with some of its fields replaced by any JSON.
fn damaged() -> impl Strategy<Value = serde_json::Value> {
    let fields = [
        "/source",
        "/detail-type",
        "/account",
        "/region",
        "/detail",
        "/detail/alarmName",
        "/detail/state",
    ];
    let any = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
        Just(serde_json::json!([{"value": "ALARM"}])),
    ];
    prop::collection::vec((prop::sample::select(fields.to_vec()), any), 0..3).prop_map(|changes| {
        let mut event = serde_json::json!({
            "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
            "account": "123456789012", "region": "eu-west-1",
            "detail": {"alarmName": "mc-api-5xx", "state": {"value": "ALARM"}},
        });
        for (at, value) in changes {
            if let Some(field) = event.pointer_mut(at) {
                *field = value;
            }
        }
        event
    })
}

proptest! {
    #[test]
    fn whatever_is_sent_is_heard_and_names_an_alarm_only_as_it_stands_there(json in damaged()) {
        if let Ok(heard) = event(&json) {
            prop_assert_eq!(&json["detail"]["state"]["value"], "ALARM");
            prop_assert_eq!(&json["detail"]["alarmName"], &heard.name);
            prop_assert_eq!((&json["account"], &json["region"]), (&heard.home.account.into(), &heard.home.region.into()));
        }
    }

    #[test]
    fn the_order_of_a_history_and_doubles_in_it_do_not_matter(sight in any_sight(), despite: bool, by in 0usize..6) {
        let told = judged(sight.clone(), despite);
        let Sight::Seen(mut found) = sight else { return Ok(()) };
        found.changes.reverse();
        let doubled = found.changes.clone();
        found.changes.extend(doubled);
        let by = by.min(found.changes.len());
        found.changes.rotate_left(by);
        prop_assert_eq!(judged(Sight::Seen(found), despite), told);
    }

    #[test]
    fn more_bad_news_never_lets_what_failed_pass(sight in any_sight(), other in any_sight(), news in any_change(), despite: bool) {
        let before = judged(sight.clone(), despite);
        let news = StateChange { to: Alarm, ..news };
        let later = judged(worse(sight.clone(), news), despite);
        let failed = |judgement: &Judgement| matches!(judgement.verdict, Verdict::Failed(_));
        prop_assert!(!failed(&before) || failed(&later));
        // and another alarm never takes back what one said
        let both = [name(), "other".to_owned()];
        let mut seen = seen(sight);
        seen.0.insert("other".into(), other);
        let with_other = judge(&both, &seen, None, window(), if despite { &both[..1] } else { &[] });
        prop_assert!(!failed(&before) || failed(&with_other));
        prop_assert!(with_other.verdict != Verdict::Passed || before.verdict == Verdict::Passed);
    }

    #[test]
    fn only_what_is_known_to_be_well_passes(sight in any_sight()) {
        if judged(sight.clone(), false).verdict == Verdict::Passed {
            let Sight::Seen(found) = sight else { panic!("what is not seen passed") };
            prop_assert_eq!(found.state, Fine);
            prop_assert!(found.evaluation.is_none() && found.changes_incomplete.is_none());
            prop_assert!(!found.changes.iter().any(|change| change.to == Alarm
                && change.from != Some(Alarm) && change.at >= at(SHIFT)));
        }
    }

    #[test]
    fn blame_is_never_of_before_the_shift(sight in any_sight(), despite: bool) {
        let told = judged(sight, despite);
        prop_assert_eq!(told.blame.is_some(), matches!(told.verdict, Verdict::Failed(_)));
        prop_assert!(told.blame.is_none_or(|blame| blame.at >= at(SHIFT)));
    }
}
