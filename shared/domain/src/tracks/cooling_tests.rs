#![allow(clippy::unwrap_used)]
use super::*;
use crate::environment::{Lease, Live};
use crate::ids::{ExecutionName, ReleaseNumber};
use crate::samples::{at, environment, hash};
use crate::tracks::Tracks;
use crate::watch::Watch;

fn execution() -> ExecutionName {
    ExecutionName::parse("mc-api-2-production-1").unwrap()
}

/// `#1` was left on blue, `#2` is live on green; what was there before there were tracks is cold.
fn left_blue() -> Environment {
    let mut environment = environment();
    let held = |number: u32| Held::new(hash(number), Some(ReleaseNumber(number)));
    let tracks = Tracks {
        live: Some(Track::Green),
        held: [(Track::Blue, held(1)), (Track::Green, held(2))].into(),
        ..Tracks::default()
    };
    environment.tracks = Some(tracks);
    environment.live = Some(Live {
        release: Some(ReleaseNumber(2)),
        digest: None,
        bundle: hash(2),
        since: at(0),
    });
    environment
}

fn watch() -> Watch {
    Watch {
        release: Some(ReleaseNumber(2)),
        execution: execution(),
        pipeline: hash(900),
        since: at(0),
        until: at(600),
        alarms: Vec::new(),
        despite: Vec::new(),
        held_until: None,
        reason: None,
    }
}

fn place(environment: &Environment) -> Option<Option<Track>> {
    to_cool(environment).map(|found| found.place)
}

#[test]
fn what_lost_the_traffic_stays_warm_until_the_watch_is_over() {
    let mut environment = left_blue();
    environment.watch = Some(watch());
    assert_eq!(place(&environment), None);
    environment.watch = None;
    assert_eq!(place(&environment), Some(Some(Track::Blue)));
    environment.lease = Some(Lease {
        owner: execution(),
        since: at(700),
    });
    assert_eq!(place(&environment), None, "somebody has the environment");
}

#[test]
fn what_failed_before_any_track_was_live_gives_its_pods_back() {
    let mut environment = left_blue();
    let tracks = environment.tracks.as_mut().unwrap();
    tracks.live = None;
    tracks.held.remove(&Track::Green);
    // What was there before has the traffic.
    tracks.original = Some(Held::new(hash(0), None));
    assert_eq!(place(&environment), Some(Some(Track::Blue)));
    let cooling = to_cool(&environment).unwrap();
    assert!(begin(&mut environment, &cooling, Fence(3)).is_some());
    assert!(end(&mut environment, &cooling, at(800)));
    assert_eq!(place(&environment), None, "nothing else is left to cool");
}

#[test]
fn what_was_there_before_gives_its_pods_back_once_a_track_is_live() {
    let mut environment = left_blue();
    let tracks = environment.tracks.as_mut().unwrap();
    tracks.held.remove(&Track::Blue);
    tracks.original = Some(Held::new(hash(0), None));
    assert_eq!(place(&environment), Some(None));
}
