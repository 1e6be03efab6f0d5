//! What is shown of tracks, steps and alarms.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::bundle::Baseline;
use crate::environment::RolloutKind;
use crate::pipeline::Seconds;
use crate::rollout::{Beginning, advance, bake, begin_on_tracks, complete, reach, restore, shift};
use crate::samples::*;
use crate::tracks::Stage;

fn watched() -> EnvironmentSpec {
    EnvironmentSpec {
        strategy: canary(&[5, 50], &[]),
        alarms: vec!["5xx".into(), "p99".into()],
        watch: Some(Seconds(1_800)),
        ..spec(None)
    }
}

fn told(name: &str, environment: &Environment) -> String {
    let spec = watched();
    let mut lines = vec![format!("{name}:")];
    for one in tracks(environment, Some(&spec)) {
        let place = one.track.map_or("before", Track::as_str);
        let release = one
            .release
            .map_or_else(|| "-".to_owned(), |number| number.to_string());
        let warm = one
            .warm_until
            .map(|at| format!(" until {at}"))
            .unwrap_or_default();
        lines.push(format!(
            "  {place} {release} {:?} {} %, {} pods{warm}",
            one.state,
            one.weight,
            one.pods.map_or_else(|| "?".to_owned(), |pods| pods.to_string())
        ));
    }
    let far = environment
        .under_way()
        .and_then(|rollout| traffic(rollout, &spec));
    if let Some(far) = far {
        lines.push(format!("  {}", serde_json::to_string(&far).unwrap()));
    }
    for alarm in alarms(environment, Some(&spec)) {
        lines.push(format!("  {}", serde_json::to_string(&alarm).unwrap()));
    }
    lines.join("\n")
}

fn stage(weight: u32) -> Stage {
    Stage {
        weight,
        bake: (weight < 100).then_some(Seconds(300)),
        pause: None,
    }
}

/// `#n` begins to come to the idle track.
fn begins(mut environment: Environment, number: u32, baseline: Baseline) -> Environment {
    environment = rolling(environment, number, Phase::Starting);
    let known = environment.tracks.clone().unwrap_or_default();
    let has_other = matches!(baseline, Baseline::Bundle { .. });
    let full = [("mc-api".to_owned(), 4)].into();
    let traffic = Traffic {
        has_other,
        ..Traffic::new(route(http_route()), Some(known.idle()), known.live, full)
    };
    let beginning = Beginning {
        baseline,
        target: hash(number),
        highest_fence: environment.fence,
        timeout: Seconds(600),
    };
    begin_on_tracks(&mut environment, 0, beginning, traffic, at(10)).unwrap();
    environment
}

fn ends(mut environment: Environment, number: u32) -> Environment {
    let fence = environment.fence;
    shift(&mut environment, 7, stage(100), fence, Seconds(60), at(700)).unwrap();
    reach(&mut environment, 8, Phase::Verified, Some(hash(number)), None).unwrap();
    let owner = environment.rollout.as_ref().unwrap().owner.clone();
    complete(&mut environment, &owner, None, Some(&release(number)), at(710)).unwrap();
    environment
}

#[test]
fn from_the_first_release_to_the_way_back() {
    let spec = watched();
    let mut lines = vec![told("nothing yet", &environment())];
    let first = begins(environment(), 1, Baseline::Nothing);
    lines.push(told("the first comes, with nothing beside it", &first));
    let first = ends(first, 1);
    lines.push(told("the first is live", &first));
    let before = Baseline::Bundle { hash: hash(1) };
    let mut second = begins(first, 2, before);
    lines.push(told("the second comes", &second));
    let fence = second.fence;
    shift(&mut second, 2, stage(5), fence, Seconds(60), at(20)).unwrap();
    lines.push(told("its first part is given to it", &second));
    bake(&mut second, 3, Seconds(300), at(30)).unwrap();
    lines.push(told("and baked", &second));
    let fence = second.fence;
    advance(&mut second, 4, 1, fence, Seconds(600), at(330)).unwrap();
    lines.push(told("it is made ready for more", &second));
    let mut bad = second.clone();
    let fence = bad.fence;
    restore(&mut bad, 5, "5xx", fence, Seconds(60), at(340)).unwrap();
    lines.push(told("it goes back", &bad));
    reach(&mut bad, 6, Phase::Restored, None, None).unwrap();
    let owner = bad.rollout.as_ref().unwrap().owner.clone();
    complete(&mut bad, &owner, None, None, at(350)).unwrap();
    lines.push(told("it went back", &bad));
    let mut second = ends(second, 2);
    let rollout = second.rollout.clone().unwrap();
    crate::watch::begin(&mut second, &rollout, &spec, at(710)).unwrap();
    lines.push(told("it is live and watched", &second));
    let held = second
        .tracks
        .as_mut()
        .unwrap()
        .held
        .get_mut(&Track::Blue)
        .unwrap();
    held.cooling = Some(fence);
    lines.push(told("the other one gives its pods back", &second));
    let held = second
        .tracks
        .as_mut()
        .unwrap()
        .held
        .get_mut(&Track::Blue)
        .unwrap();
    held.cooled_at = Some(at(9_000));
    second.watch = None;
    lines.push(told("and is cold", &second));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_was_there_before_there_were_tracks_is_a_place_too() {
    let adopted = begins(environment(), 1, Baseline::Bundle { hash: hash(77) });
    let mut lines = vec![told("the first comes beside what was there", &adopted)];
    let adopted = ends(adopted, 1);
    lines.push(told("what was there is warm", &adopted));
    let mut back = rolling(adopted, 1, Phase::Rolling);
    let rollout = back.rollout.as_mut().unwrap();
    rollout.kind = RolloutKind::Rollback {
        leaving: None,
        by: "ana".into(),
        restore: false,
    };
    rollout.release = None;
    let known = back.tracks.clone().unwrap();
    let full = [("mc-api".to_owned(), 4)].into();
    let way = Traffic::new(known.route.unwrap(), None, Some(Track::Blue), full);
    back.rollout.as_mut().unwrap().traffic = Some(Box::new(way));
    lines.push(told("and comes back", &back));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn alarms_are_shown_as_they_were_noted() {
    let mut environment = begins(with_completed(&[1]), 2, Baseline::Bundle { hash: hash(1) });
    let noted = Noted {
        state: Some(AlarmState::Alarm),
        since: Some(at(5)),
        reason: Some("Threshold Crossed".into()),
    };
    environment.alarms.insert("5xx".into(), noted);
    environment.rollout.as_mut().unwrap().despite = vec!["5xx".into()];
    insta::assert_snapshot!(told("alarms", &environment));
    environment.lease = None;
    assert!(
        alarms(&environment, Some(&watched())).is_empty(),
        "nothing is under way, nothing is watched"
    );
}
