//! What comes between: each goes on until it is over, and says how that was.
use super::*;
use crate::check;
use crate::promotion::Promotion;
use crate::recovery::Repair;
use crate::samples::at;

pub(super) fn call(mut world: World, restore: bool, holder_ended: bool) -> String {
    let before = world.clone();
    match world.take_over(None, restore, holder_ended) {
        Ok(_) => {
            let fence = world.rollout().fence;
            assert!(fence > before.rollout().fence && fence > before.observed().highest_fence);
            ends_well(world)
        }
        Err(said) => first_word(&said),
    }
}

fn is_over(world: &World) -> bool {
    matches!(world.phase(), Phase::Verified | Phase::Restored)
}

/// As `operate` does it: what has written nothing ends, what has is restored, and a rollback is not aborted.
pub(super) fn abort(mut world: World) -> String {
    let Some(id) = world
        .environment
        .under_way()
        .and_then(|rollout| rollout.promotion())
    else {
        return "refused".into();
    };
    if is_over(&world) {
        return "refused".into();
    }
    if turn::has_written(&world.environment, id) {
        return call(world, true, false);
    }
    let mut promotion = promotion(id.release.0);
    turn::end(
        &mut promotion,
        &mut world.environment,
        PromotionState::Aborted,
        Event::PromotionAborted,
        "ana",
        "wrong one",
        at(world.now),
    );
    assert!(world.environment.lease.is_none() && world.environment.queue.current.is_none());
    "ends".into()
}

pub(super) fn paused_by_ana(mut world: World) -> String {
    let said = pause(
        &mut world.environment,
        &world.spec,
        "ana",
        Some("lunch"),
        at(world.now),
    );
    let Some(recorded) = told(said) else {
        return "refused".into();
    };
    assert!(recorded);
    recover(&mut world);
    world.alarms = Some(Verdict::Passed);
    for _ in 0..50 {
        step(&mut world);
    }
    assert_eq!(
        (world.phase(), word(&world.decide())),
        (Phase::Baking, "Sleep".to_owned())
    );
    assert!(
        world
            .traffic()
            .pause
            .as_ref()
            .is_some_and(|pause| pause.by.is_some())
    );
    resume(&mut world.environment, "ana", None, at(world.now)).unwrap();
    assert_eq!(ends_well(world), "forward", "once it is resumed");
    "paused".into()
}

pub(super) fn resumed(mut world: World) -> String {
    match told(resume(&mut world.environment, "ana", None, at(world.now))) {
        None => "refused".into(),
        Some(false) => "stays".into(),
        Some(true) => ends_well(world),
    }
}

pub(super) fn hurried(mut world: World) -> String {
    let release = ReleaseNumber(3);
    let said = hurry(
        &mut world.environment,
        &world.spec,
        release,
        "ana",
        "the fix",
        at(world.now),
    );
    match told(said) {
        None => "refused".into(),
        Some(recorded) => {
            assert!(recorded);
            ends_well(world)
        }
    }
}

/// Whether anything was recorded; none where the command is declined, with the next one.
fn told(said: Said) -> Option<bool> {
    match said {
        Ok(record) => Some(record.is_some()),
        Err(declined) => {
            assert!(declined.next.starts_with("sluice "), "{declined:?}");
            None
        }
    }
}

pub(super) fn retry(mut world: World) -> String {
    match check::ask_again(&mut world.environment, "ana") {
        Ok(_) => {
            world.alarms = Some(Verdict::Passed);
            ends_well(world)
        }
        Err(_) => "refused".into(),
    }
}

/// Its event is lost: what the next look at it does. (Where the event comes, `receive-alarm` calls rollback.)
pub(super) fn alarm(mut world: World) -> String {
    world.alarms = Some(Verdict::Failed("alarm 5xx went into ALARM".into()));
    ends_well(world)
}

/// A newer release is pushed: it never interrupts, and takes its turn once the lease is given back.
pub(super) fn newer(mut world: World) -> String {
    world.environment.queue = world.environment.queue.put(queued(4), false).queue;
    let newer: Promotion = promotion(4);
    assert!(turn::not_yet(&newer, &world.environment).is_some());
    ends_well(world.clone());
    let before = world.environment.rollout.clone();
    assert_eq!(world.environment.rollout, before);
    "waits".into()
}

/// Killed after any of its records and before any of its writes, and run again: the same end.
pub(super) fn killed(world: World) -> String {
    let right = ends_well(world.clone());
    let mut point = world;
    recover(&mut point);
    for _ in 0..2_000 {
        let mut killed = point.clone();
        let decision = killed.decide();
        killed.record(&decision);
        assert_eq!(ends_well(killed), right, "killed at {decision:?}");
        if !step(&mut point) {
            return right;
        }
    }
    panic!("it goes on for ever");
}

/// Another has the environment: the execution that had it finds that out at its next step, and the cluster takes no write of it.
pub(super) fn taken_over(world: World) -> String {
    let old = world.clone();
    let restore = old.rollout().promotion().is_some();
    let mut new = world;
    if new.take_over(None, restore, true).is_err() {
        // Nothing was written yet: there is nothing to take over.
        return abort(old);
    }
    assert!(!new.environment.is_held_by(&old.rollout().owner));
    assert!(new.rollout().fence > old.rollout().fence);
    ends_well(new)
}

/// Its execution is over and did not say so: what the sweep does.
pub(super) fn gone(mut world: World) -> String {
    let repairs = repairs(&world.environment, |_| ExecutionStatus::Ended("aborted".into()));
    match repairs.first() {
        None => "nothing".into(),
        Some(Repair::RecordAborted(..)) => abort(world),
        Some(Repair::Restore(_)) => call(world, true, true),
        Some(Repair::RollBackAgain(_)) => call(world, false, true),
        Some(Repair::Complete(_)) => {
            let end = end_of(&world);
            world.complete();
            end
        }
        Some(other) => panic!("{other:?}"),
    }
}

/// The pods of what is being brought are gone, and do not come again.
pub(super) fn pods_lost(mut world: World) -> String {
    if is_over(&world) {
        // What watches it then is the watch, and its alarms.
        return "stays".into();
    }
    world.prompt = false;
    world.accepting = true;
    if world.seen.standing != Standing::Refused("no Gateway accepts it".into()) {
        world.seen.standing = Standing::Accepted;
    }
    let names: Vec<String> = world
        .wanted()
        .into_iter()
        .flat_map(|wanted| wanted.deployments)
        .map(|one| one.name)
        .collect();
    for name in names {
        if let Some(pods) = world.pods.get_mut(&name) {
            pods.ready = 0;
        }
    }
    ends(&mut world)
}

/// The router's controller never says that it serves what is written from now on.
pub(super) fn not_routed(mut world: World) -> String {
    fill(&mut world);
    world.accepting = false;
    ends(&mut world)
}
