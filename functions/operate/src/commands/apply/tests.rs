#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::samples::{at, env, environment, hash, service};
use sluice_domain::ids::Repository;
use sluice_domain::pipeline::{ChartFile, pack_chart};

fn text(environments: &[&str]) -> String {
    let environments: Vec<String> = environments
        .iter()
        .map(|name| format!("[[environment]]\nname = \"{name}\"\ncluster = \"mc\"\nnamespace = \"{name}\"\n"))
        .collect();
    format!(
        "service = \"mc-api\"\n[source]\nrepository = \"mc-api\"\ntags = [\"^v\"]\n\
         [workload.deployment]\nmanifests = [\"api.yaml\"]\n{}",
        environments.join("")
    )
}

const MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  \
    selector: {matchLabels: {app: api}}\n  template:\n    metadata: {labels: {app: api}}\n    \
    spec: {containers: [{name: api, image: api}]}\n";

fn files(text: String, manifests: &[(&str, &str)]) -> Files {
    let manifests = manifests
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    Files {
        file: "pipelines/mc-api.toml".into(),
        text,
        manifests,
        charts: BTreeMap::new(),
    }
}

fn pipeline(environments: &[&str]) -> Pipeline {
    checked(&files(text(environments), &[("api.yaml", MANIFEST)]))
        .unwrap()
        .version
        .pipeline
}

#[test]
fn whole_files_are_a_version_with_warnings() {
    let Checked {
        version, warnings, ..
    } = checked(&files(text(&["dev"]), &[("api.yaml", MANIFEST)])).unwrap();
    assert_eq!(version.pipeline.service, service());
    assert!(
        warnings
            .iter()
            .any(|warning| warning.problem.contains("longer tag")),
        "{warnings:?}"
    );
}

#[test]
fn a_manifest_that_did_not_come_along_is_a_fault() {
    let Err(OperateError::Refusal(refusal)) = checked(&files(text(&["dev"]), &[])) else {
        panic!("a refusal")
    };
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    insta::assert_snapshot!(format!(
        "{refusal}\n{}\nnext: {}",
        refusal.faults.join("\n"),
        refusal.next.as_deref().unwrap()
    ));
}

/// A helm pipeline with the archive of its chart in base64.
fn with_chart(archive: Option<&str>) -> Files {
    let text = text(&["dev"]).replace(
        "[workload.deployment]\nmanifests = [\"api.yaml\"]",
        "[workload.helm]\nchart = \"charts/api\"\nimage = \"image\"",
    );
    let charts = archive.map(|archive| ("charts/api".to_owned(), archive.to_owned()));
    Files {
        charts: charts.into_iter().collect(),
        ..files(text, &[])
    }
}

#[test]
fn a_chart_is_checked_again_and_kept_by_its_hash() {
    let file = |text: &str| ChartFile {
        executable: false,
        content: text.as_bytes().to_vec(),
    };
    let archive = pack_chart(&BTreeMap::from([
        (
            "Chart.yaml".to_owned(),
            file("apiVersion: v2\nname: api\nversion: 1.2.3\n"),
        ),
        (
            "values.yaml".to_owned(),
            file("image: {repository: x, digest: y}\n"),
        ),
    ]))
    .unwrap();
    let found = checked(&with_chart(Some(&STANDARD.encode(&archive)))).unwrap();
    let chart = found.version.package.chart.unwrap();
    assert_eq!(found.archives, BTreeMap::from([(chart.archive, archive.clone())]));
    let cut_off = STANDARD.encode(&archive[..archive.len() / 2]);
    for (sent, wanted) in [
        (None, "did not come with the request"),
        (Some("not base64!"), "base64 cannot be read"),
        (Some(cut_off.as_str()), "cannot be unpacked"),
    ] {
        let Err(OperateError::Refusal(refusal)) = checked(&with_chart(sent)) else {
            panic!("a refusal")
        };
        assert_eq!(refusal.kind, RefusalKind::Invalid);
        assert!(
            refusal.faults.join("").replace("\n    ", " ").contains(wanted),
            "{:?}",
            refusal.faults
        );
    }
}

#[test]
fn every_fault_of_the_file_is_told() {
    let broken = text(&["dev", "pre-prod"]).replace("[\"^v\"]", "5");
    let Err(OperateError::Refusal(refusal)) = checked(&files(broken, &[])) else {
        panic!("a refusal")
    };
    assert!(refusal.faults.len() >= 2, "{:?}", refusal.faults);
    assert!(
        refusal
            .message
            .contains(&format!("{} faults", refusal.faults.len())),
        "{refusal}"
    );
}

#[test]
fn an_environment_that_leaves_keeps_its_state_and_is_told() {
    let meta = Meta {
        service: service(),
        repository: Repository::parse("old").unwrap(),
        pipeline: hash(1),
        last_number: 7,
        newest: None,
        first_applied_at: at(0),
        alarms: Default::default(),
        removed: None,
        environments: vec![env("dev"), env("staging"), env("qa"), env("old")],
        v: 3,
    };
    let environments = vec![environment("dev"), environment("qa"), environment("old")];
    let before = Overview { meta, environments };
    let (old, new) = (
        pipeline(&["dev", "staging", "qa"]),
        pipeline(&["dev", "production"]),
    );
    let after = meta_after(&before, &new, &hash(2), at(9));
    assert_eq!(
        after.environments,
        [env("dev"), env("production"), env("qa"), env("old")]
    );
    assert_eq!(
        (after.last_number, after.repository.as_str(), after.v),
        (7, "mc-api", 3)
    );
    let names: Vec<_> = touched(&old, &new, &before)
        .into_iter()
        .map(|one| (one.name, one.v))
        .collect();
    assert_eq!(
        names,
        [
            (env("dev"), 1),
            (env("production"), 0),
            (env("staging"), 0),
            (env("qa"), 1)
        ]
    );
}

#[test]
fn what_is_pushed_in_the_second_of_the_first_apply_is_no_past() {
    let now = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
    assert_eq!(whole_second(now), at(1_700_000_000));
}
