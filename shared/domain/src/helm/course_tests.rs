//! What helm is to do, as tables over what the cluster holds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::bundle::ChartRef;
use crate::helm::HelmStatus::*;
use crate::helm::description;
use crate::ids::{ExecutionName, Hash};
use proptest::prelude::*;
use serde_json::json;

const STATUSES: [HelmStatus; 9] = [
    Deployed,
    Uninstalled,
    Superseded,
    Failed,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
    Unknown,
];

fn revision(number: u32, status: HelmStatus, fence: Option<u64>, manifest: &str) -> HelmRevision {
    let execution = ExecutionName::parse("mc-api-1-dev-1").unwrap();
    let said = fence.map(|fence| description(Some("mc-api#1"), &execution, Fence(fence - 1), Fence(fence)));
    HelmRevision {
        name: "api".into(),
        revision: number,
        status,
        description: said.unwrap_or_else(|| "Upgrade complete".into()),
        fence: fence.map(Fence),
        deployed_at: None,
        chart: "api".into(),
        chart_version: "1.0.0".into(),
        values: json!({}),
        manifest: manifest.into(),
        hooks: vec![],
    }
}

fn bundle(of: Option<&HelmRevision>, archive: bool) -> HelmBundle {
    let hash = Hash::parse(&"a".repeat(64)).unwrap();
    HelmBundle {
        tracks: std::collections::BTreeMap::new(),
        replicas: Vec::new(),
        release: "api".into(),
        chart: ChartRef {
            name: "api".into(),
            version: "1.0.0".into(),
            archive: archive.then_some(hash),
        },
        values: vec![],
        secret_values: vec![],
        revision: of.map(|one| one.revision),
        content: of.map(|one| one.content().unwrap()),
    }
}

fn asked(wanted: Option<&HelmBundle>) -> Asked<'_> {
    Asked {
        wanted,
        decision: Fence(20),
        fence: Fence(21),
    }
}

#[test]
fn helm_does_what_is_left_to_do() {
    let old = revision(3, Superseded, Some(11), "old");
    let target = bundle(None, true);
    let back = bundle(Some(&old), true);
    let by_hand = bundle(Some(&old), false);
    let deployed = revision(4, Deployed, Some(15), "new");
    let same_again = revision(5, Superseded, Some(17), "old");
    let table: [(&str, Vec<HelmRevision>, Option<&HelmBundle>, Course); 12] = [
        ("nothing there", vec![], Some(&target), Course::Upgrade),
        ("a later release", vec![deployed.clone(), old.clone()], Some(&target), Course::Upgrade),
        ("back to what is in the history", vec![deployed.clone(), old.clone()], Some(&back), Course::Rollback(3)),
        ("back to another of its content", vec![deployed.clone(), same_again], Some(&back), Course::Rollback(5)),
        ("back to what the history lost", vec![deployed.clone()], Some(&back), Course::Upgrade),
        ("done before this repeat", vec![revision(5, Deployed, Some(21), "x")], Some(&target), Course::Done(5)),
        ("after a failure", vec![revision(5, Failed, Some(18), "x"), old.clone()], Some(&back), Course::Rollback(3)),
        ("away", vec![revision(1, Failed, Some(18), "x")], None, Course::Uninstall),
        ("away, killed at it", vec![revision(1, Uninstalling, Some(18), "x")], None, Course::Uninstall),
        ("away already", vec![revision(1, Uninstalled, Some(18), "x")], None, Course::Gone),
        ("never there", vec![], None, Course::Gone),
        (
            "nobody has that chart",
            vec![deployed],
            Some(&by_hand),
            Course::Impossible(
                "revision 3 of the Helm release api is no longer in its history, and it was not Sluice that installed its \
                 chart api 1.0.0: install that chart by hand, or promote a release"
                    .into(),
            ),
        ),
    ];
    for (what, revisions, wanted, right) in table {
        assert_eq!(course(&revisions, asked(wanted)), right, "{what}");
    }
}

#[test]
fn an_unfinished_revision_is_closed_only_when_its_writer_is_known_to_be_gone() {
    let target = bundle(None, true);
    for status in [PendingInstall, PendingUpgrade, PendingRollback] {
        for wanted in [Some(&target), None] {
            let ours = course(&[revision(2, status, Some(19), "x")], asked(wanted));
            assert!(matches!(ours, Course::Heal { revision: 2, .. }), "{ours:?}");
            for fence in [None, Some(21), Some(30)] {
                let theirs = course(&[revision(2, status, fence, "x")], asked(wanted));
                assert!(matches!(theirs, Course::Busy(_)), "{theirs:?}");
            }
        }
    }
    // helm copies the labels of the revision that it brings back, but not its description.
    let mut unlabelled = revision(2, PendingRollback, Some(19), "x");
    unlabelled.fence = None;
    let said = course(&[unlabelled], asked(Some(&target)));
    let why = "revision 2 was left pending-rollback by a helm that was ended (fence 19, now 21)";
    assert_eq!(
        said,
        Course::Heal {
            revision: 2,
            why: why.into()
        }
    );
}

#[test]
fn a_label_that_was_taken_over_from_an_older_revision_says_nothing() {
    let target = bundle(None, true);
    let ours = revision(3, Deployed, Some(11), "old");
    // A person's upgrade over ours, at work, and another one after it.
    for (number, latest) in [(4, PendingUpgrade), (5, PendingUpgrade)] {
        let mut theirs = revision(number, latest, None, "theirs");
        theirs.description = "Preparing upgrade".into();
        theirs.fence = Some(Fence(11));
        let revisions = [theirs, ours.clone()];
        let came = course(&revisions, asked(Some(&target)));
        assert!(matches!(came, Course::Busy(_)), "{came:?}");
        assert!(others(&revisions, Fence(21)).is_some());
    }
    // Ours, at work: a fence of its own, and no description yet.
    let mut next = revision(4, PendingUpgrade, None, "new");
    next.description = "Preparing upgrade".into();
    next.fence = Some(Fence(13));
    let revisions = [next, ours.clone()];
    let came = course(&revisions, asked(Some(&target)));
    assert!(matches!(came, Course::Heal { revision: 4, .. }), "{came:?}");
    assert_eq!(others(&revisions, Fence(21)), None);
    assert_eq!(others(&[ours], Fence(21)), None);
}

#[test]
fn drift_is_what_others_did_since() {
    let ours = revision(3, Deployed, Some(11), "old");
    let live = bundle(Some(&ours), true);
    let restored = revision(5, Deployed, Some(15), "old");
    let theirs = revision(4, Deployed, None, "theirs");
    assert_eq!(is_drift(None, Some(&theirs)), None);
    assert_eq!(is_drift(Some(&live), Some(&ours)), None);
    assert_eq!(is_drift(Some(&live), Some(&restored)), None);
    let said = is_drift(Some(&live), Some(&theirs)).unwrap();
    let right =
        "revision 4 of the Helm release api is not Sluice's (Sluice left revision 3): Upgrade complete";
    assert_eq!(said, right);
    assert!(is_drift(Some(&live), None).is_some_and(|said| said.contains("is gone")));
}

#[test]
fn what_runs_is_what_was_deployed_or_what_others_left() {
    let number = |revisions: &[HelmRevision]| present(revisions).map(|one| one.revision);
    let failed = revision(5, Failed, Some(9), "x");
    assert_eq!(
        number(&[failed.clone(), revision(4, Deployed, None, "x")]),
        Some(4)
    );
    assert_eq!(number(std::slice::from_ref(&failed)), None);
    assert_eq!(number(&[failed, revision(1, Failed, None, "x")]), Some(1));
}

#[test]
fn a_description_is_read_as_it_was_written() {
    let execution = ExecutionName::parse("mc-api-42-production-1").unwrap();
    let said = description(Some("mc-api#42"), &execution, Fence(12), Fence(13));
    assert_eq!(
        said,
        "mc-api#42 by mc-api-42-production-1, decision 12 (fence 13)"
    );
    assert_eq!(decision_of_description(&said), Some(Fence(12)));
    assert_eq!(fence_of_description(&said), Some(Fence(13)));
    for other in [
        "",
        "Upgrade complete",
        "x, decision 1",
        "x, decision y (fence 2)",
        "(fence 2)",
    ] {
        assert_eq!(decision_of_description(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn helm_is_never_started_beside_an_unfinished_revision(
        statuses in prop::collection::vec((0usize..9, prop::option::of(1u64..40), any::<bool>()), 0..5),
        archive: bool,
        remove: bool,
    ) {
        let newest = u32::try_from(statuses.len()).unwrap();
        let revisions: Vec<_> = statuses.iter().zip((1..=newest).rev())
            .map(|((status, fence, old), number)| revision(number, STATUSES[*status], *fence, if *old { "old" } else { "new" }))
            .collect();
        let wanted = bundle(Some(&revision(1, Superseded, Some(5), "old")), archive);
        let came = course(&revisions, asked((!remove).then_some(&wanted)));
        let pending = revisions.first().is_some_and(|latest| latest.status.is_pending());
        if pending {
            let removing = remove && revisions[0].status == Uninstalling;
            prop_assert!(matches!(came, Course::Heal { .. } | Course::Busy(_)) || removing, "{came:?}");
        }
        if let Course::Rollback(number) = came {
            let target = revisions.iter().find(|one| one.revision == number).unwrap();
            prop_assert_eq!(&target.manifest, "old");
        }
        if let Course::Heal { revision, .. } = came {
            prop_assert_eq!(revision, revisions[0].revision);
            prop_assert!(revisions[0].fence.is_some_and(|fence| fence < Fence(21)));
        }
    }
}

#[test]
fn a_label_that_was_handed_on_is_nobody_s_own() {
    let [one, two] = [11, 12].map(|fence| Some(Fence(fence)));
    let labels = [(3, two), (2, one), (1, one)];
    for (of, fence, description, own) in [
        (1, one, None, one),
        (2, one, None, None),
        (2, one, Some("Upgrade complete"), None),
        (2, one, Some("mc-api#2 by x, decision 10 (fence 11)"), one),
        (3, two, Some("Preparing upgrade"), two),
        (3, None, None, None),
    ] {
        assert_eq!(
            own_fence(of, fence, description, &labels),
            own,
            "{of} {description:?}"
        );
    }
}
