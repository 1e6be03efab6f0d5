//! Before traffic is given, while it is, and on the way back: only to pods that are ready, and read back.
use super::*;

#[test]
fn pods_that_no_request_would_find_get_no_traffic() {
    // Every pod is available, and the controller of endpoints is behind.
    let mut world = World::new(blue_green(vec![]));
    world.reached = 3;
    let Decision::Look(reason, _) = world.settle() else {
        panic!("{:?}", world.rollout());
    };
    assert_eq!(
        reason,
        "Service mc-api-green has 3 ready endpoints, and 4 pods are behind it"
    );
    assert_eq!(world.traffic().weights, None);
    world.reached = u32::MAX;
    assert!(matches!(world.advance(), Decision::Shift));
    // Nor is the Service pointed, where they are gone again by then.
    world.reached = 0;
    assert!(matches!(world.decide(), Decision::Look(..)));
    world.reached = u32::MAX;
    assert!(matches!(world.decide(), Decision::Point));
}

#[test]
fn no_traffic_comes_before_pods_are_ready() {
    for stage in 0..4 {
        let mut world = canary_at(Phase::Rolling, stage);
        let green = world.at(Some(Track::Green));
        green.ready = green.wanted - 1;
        assert_eq!(word(&world.decide()), "Await", "stage {stage}");
        world.now += 600;
        assert_eq!(word(&world.decide()), "Restore", "stage {stage}, late");
        // Also where somebody, or an autoscaler, has taken away what was asked for.
        let mut world = canary_at(Phase::Rolling, stage);
        let green = world.at(Some(Track::Green));
        (green.wanted, green.ready) = (green.wanted - 1, green.wanted - 1);
        assert_eq!(word(&world.decide()), "Await", "stage {stage}, scaled down");
    }
}

#[test]
fn a_release_without_pods_gets_no_traffic() {
    let world = canary_at(Phase::Rolling, 0);
    let mut wanted = world.wanted().unwrap().scaled_to_zero();
    wanted.objects.clear();
    let mut observed = world.observed();
    for found in &mut observed.deployments {
        (found.wanted, found.total, found.updated, found.available) = (0, 0, 0, 0);
        found.pods.clear();
    }
    let facts = world.facts(Some(&wanted), &observed, Some(&world.seen));
    let said = "its Deployments say 0 replicas, and it is to have traffic: say how many it needs";
    assert_eq!(
        crate::rollout::decide(facts, at(1)),
        Decision::Restore(said.into())
    );
}

#[test]
fn weights_are_written_and_read_back_before_anything_follows() {
    let shifting = || canary_at(Phase::Shifting, 1);
    assert_eq!(word(&shifting().decide()), "Bake");
    let mut unwritten = shifting();
    unwritten.seen.fence = Fence(unwritten.seen.fence.0 - 1);
    assert_eq!(word(&unwritten.decide()), "Route");
    unwritten.at(Some(Track::Green)).ready = 0;
    assert_eq!(
        word(&unwritten.decide()),
        "Await",
        "not to pods that are gone meanwhile"
    );
    unwritten.at(Some(Track::Green)).crashes = true;
    assert_eq!(word(&unwritten.decide()), "Restore");
    let mut unreadable = shifting();
    unreadable.seen.weights = Err("HTTPRoute mc-api is not there".into());
    assert_eq!(word(&unreadable.decide()), "Route");
    unreadable.now += 600;
    assert_eq!(word(&unreadable.decide()), "Restore", "not for ever");
    let mut pending = shifting();
    pending.seen.standing = Standing::Pending("generation 3 of 4".into());
    assert_eq!(pending.decide(), Decision::Look("generation 3 of 4".into(), 2));
    pending.now += 600;
    assert_eq!(word(&pending.decide()), "Restore");
    let mut refused = shifting();
    refused.seen.standing = Standing::Refused("no Gateway accepts it".into());
    assert_eq!(word(&refused.decide()), "Look", "it may not have heard of it yet");
    refused.now += 30;
    assert_eq!(
        refused.decide(),
        Decision::Restore("no Gateway accepts it".into())
    );
    let mut changed = shifting();
    changed.seen.weights = Ok(Weights::split(Track::Green, 90));
    let said = "somebody else changed the weights to blue 10 %, green 90 %";
    assert_eq!(changed.decide(), Decision::Restore(said.into()));
}

#[test]
fn the_services_follow_the_whole_traffic_to_ready_pods_only() {
    let last = || canary_at(Phase::Shifting, 3);
    assert_eq!(word(&last().decide()), "Point");
    let mut gone = last();
    gone.at(Some(Track::Green)).ready = 1;
    assert_eq!(word(&gone.decide()), "Await");
    gone.now += 600;
    assert_eq!(word(&gone.decide()), "Restore");
    let mut pointed = last();
    pointed.seen.pointed = Some(Some(Track::Green));
    assert_eq!(word(&pointed.decide()), "Point", "also under this fence");
    pointed.seen.pointed_fence = pointed.rollout().fence;
    assert_eq!(word(&pointed.decide()), "Verify");
    pointed.seen.pointed = None;
    assert_eq!(word(&pointed.decide()), "Point", "half of them is not all");
}

#[test]
fn the_way_back_is_the_same_order() {
    let restoring = || {
        let mut world = canary_at(Phase::Baking, 1);
        world.now += 300;
        world.alarms = Some(Verdict::Failed("5xx".into()));
        assert_eq!(word(&world.advance()), "Restore");
        world
    };
    let after = |change: &dyn Fn(&mut World)| {
        let mut world = restoring();
        change(&mut world);
        word(&world.decide())
    };
    assert_eq!(after(&|_| {}), "Route");
    assert_eq!(
        after(&|world| world.at(Some(Track::Blue)).fence = Fence(0)),
        "Apply"
    );
    assert_eq!(after(&|world| world.at(Some(Track::Blue)).ready = 3), "Await");
    assert_eq!(
        after(&|world| world.at(Some(Track::Blue)).crashes = true),
        "Stick"
    );
    let late = |world: &mut World| {
        world.at(Some(Track::Blue)).ready = 3;
        world.now += 300;
    };
    assert_eq!(after(&late), "Stick");
    let routed = |world: &mut World| assert_eq!(word(&world.advance()), "Route");
    assert_eq!(
        after(&|world| {
            routed(world);
            world.seen.standing = Standing::Pending("soon".into());
        }),
        "Look"
    );
    assert_eq!(
        after(&|world| {
            routed(world);
            world.seen.pointed = Some(Some(Track::Green));
        }),
        "Point"
    );
    assert_eq!(
        after(&|world| {
            routed(world);
            world.seen.pointed = Some(Some(Track::Green));
            world.at(Some(Track::Blue)).ready = 0;
        }),
        "Await",
        "not to pods that are gone"
    );
    // They point there already; but a late step of before may still point them elsewhere.
    assert_eq!(after(&routed), "Point");
    assert_eq!(
        after(&|world| {
            routed(world);
            assert_eq!(word(&world.advance()), "Point");
        }),
        "Restored"
    );
}

#[test]
fn the_router_is_always_looked_at() {
    let world = canary_at(Phase::Baking, 0);
    let (wanted, observed) = (world.wanted(), world.observed());
    let facts = Facts {
        alarms: None,
        ..world.facts(wanted.as_ref(), &observed, None)
    };
    let said = "the router was not looked at".to_owned();
    assert_eq!(crate::rollout::decide(facts, at(1)), Decision::Look(said, 2));
}
