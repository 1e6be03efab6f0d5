//! The states: each comes about as it does in an environment.
use super::*;
use crate::pipeline::{CheckAction, CheckSpec};

/// `#3` has just got the lease.
pub(super) fn promoting() -> World {
    World::new(canary(&[]))
}

/// The stage is written; its pods are not ready yet.
pub(super) fn awaiting(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Rolling, stage);
    world.at(Some(Track::Green)).ready = 0;
    world
}

/// The weights are recorded; the function was killed before it wrote them.
pub(super) fn unwritten(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Rolling, stage);
    let decision = world.decide();
    assert_eq!(word(&decision), "Shift");
    world.record(&decision);
    world
}

pub(super) fn pending(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Rolling, stage);
    world.accepting = false;
    assert_eq!(word(&world.advance()), "Shift");
    world
}

pub(super) fn refused() -> World {
    let mut world = pending(1);
    world.seen.standing = Standing::Refused("no Gateway accepts it".into());
    world
}

pub(super) fn check_held() -> World {
    let mut world = promoting();
    world.spec.verify = vec![CheckSpec {
        name: "smoke".into(),
        timeout: Seconds(60),
        run: CheckAction::Lambda {
            function: "arn:aws:lambda:eu-west-1:123456789012:function:smoke".into(),
        },
    }];
    let mut world = world.come_to(Phase::Shifting, 3);
    world.settle();
    world.answer(Verdict::Inconclusive("no answer".into()));
    assert_eq!(word(&world.advance()), "Hold");
    world
}

fn baked(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Baking, stage);
    world.now += 300;
    world
}

pub(super) fn held() -> World {
    let mut world = baked(1);
    world.alarms = Some(Verdict::Inconclusive("INSUFFICIENT_DATA".into()));
    assert_eq!(word(&world.advance()), "Hold");
    world
}

pub(super) fn paused() -> World {
    let mut world = World::new(canary(&[25])).come_to(Phase::Baking, 1);
    world.now += 300;
    assert_eq!(word(&world.advance()), "Pause");
    world
}

pub(super) fn restoring_unshifted() -> World {
    let mut world = awaiting(0);
    world.prompt = false;
    world.at(Some(Track::Green)).crashes = true;
    assert_eq!(word(&world.advance()), "Restore");
    world
}

pub(super) fn restoring() -> World {
    let mut world = baked(1);
    world.alarms = Some(Verdict::Failed("5xx".into()));
    assert_eq!(word(&world.advance()), "Restore");
    world
}

pub(super) fn restoring_shifted() -> World {
    let mut world = restoring();
    world.accepting = false;
    assert_eq!(word(&world.advance()), "Route");
    world
}

pub(super) fn verified() -> World {
    promoting().come_to(Phase::Verified, 3)
}

pub(super) fn restored() -> World {
    restoring().come_to(Phase::Restored, 1)
}

pub(super) fn stuck() -> World {
    let mut world = restoring();
    world.at(Some(Track::Blue)).crashes = true;
    assert_eq!(word(&world.advance()), "Stick");
    // Whoever mends it first, calls again then.
    world.at(Some(Track::Blue)).crashes = false;
    world
}

pub(super) fn rolling_back() -> World {
    let mut world = verified();
    world.complete();
    assert_eq!(world.roll_back(None, false), Ok(Some(2)));
    world
}

pub(super) fn rollback_stuck() -> World {
    let mut world = rolling_back();
    world.at(Some(Track::Blue)).crashes = true;
    assert_eq!(word(&world.advance()), "Stick");
    world.at(Some(Track::Blue)).crashes = false;
    world
}
