//! `sluice validate`: offline, all faults of all files, and nothing read outside the repository.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod double;

use double::{Run, run, sluice};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

const PIPELINE: &str = r#"service = "mc-api"

[source]
repository = "mc-api"
tags = ["^[0-9a-f]{7,40}$"]

[workload.deployment]
manifests = ["deploy/app.yaml"]

[[environment]]
name = "dev"
cluster = "mc-dev-eks"
namespace = "dev"
strategy = "rolling"
"#;

const MANIFEST: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: mc-api}
spec:
  selector: {matchLabels: {app: mc-api}}
  template:
    metadata: {labels: {app: mc-api}}
    spec: {containers: [{name: app, image: mc-api}]}
";

fn repository(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn validate(folder: &Path, line: &str) -> Run {
    run(sluice(&format!("validate {line}")).current_dir(folder))
}

#[test]
fn a_good_file_is_said_to_be_good() {
    let folder = repository(&[("pipelines/mc-api.toml", PIPELINE), ("deploy/app.yaml", MANIFEST)]);
    let by_default = validate(folder.path(), "");
    assert_eq!(
        (by_default.code, by_default.err.as_str()),
        (0, ""),
        "{by_default}"
    );
    let (said, version) = by_default.out.trim_end().rsplit_once(' ').unwrap();
    assert_eq!(said, "pipelines/mc-api.toml: mc-api, 1 environment, version");
    assert_eq!(version.len(), 12);
    assert_eq!(
        validate(folder.path(), "pipelines/mc-api.toml").out,
        by_default.out
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let from_outside = validate(
        elsewhere.path(),
        &format!("--root {root} {root}/pipelines/mc-api.toml"),
    );
    assert!(
        from_outside.code == 0 && from_outside.out.ends_with(&format!("{version}\n")),
        "{from_outside}"
    );
}

#[test]
fn all_faults_of_all_files_are_told() {
    let bad = PIPELINE
        .replace("\"rolling\"", "\"rollin\"")
        .replace("mc-dev-eks\"", "mc-dev-eks\"\ncolour = \"red\"");
    let other = PIPELINE.replace("\"mc-api\"\n\n", "\"mc-web\"\n\n");
    let folder = repository(&[
        ("pipelines/a.toml", &bad),
        ("pipelines/b.toml", "service = \"mc-\n"),
        ("pipelines/c.toml", &other),
        ("pipelines/readme.md", "not a pipeline"),
        ("deploy/app.yaml", MANIFEST),
    ]);
    let text = validate(folder.path(), "");
    assert!(text.out.lines().all(|line| line.chars().count() <= 80), "{text}");
    let version = text.out.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    insta::assert_snapshot!(text.to_string().replace(&version, "<version>"));
    let json = validate(folder.path(), "--output json");
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (json.code, json.err.as_str(), &value["ok"]),
        (3, "", &false.into())
    );
    let files = value["files"].as_array().unwrap();
    let good: Vec<_> = files.iter().map(|file| file["ok"].as_bool().unwrap()).collect();
    assert_eq!(good, [false, false, true]);
    let fault = &files[0]["faults"][0];
    assert!(
        fault["line"].is_number() && fault["column"].is_number() && fault["right"].is_string(),
        "{fault}"
    );
    assert_eq!(files[2]["service"], "mc-web");
}

#[test]
fn a_manifest_is_read_below_the_root_only() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("app.yaml"), MANIFEST).unwrap();
    let folder = repository(&[("pipelines/mc-api.toml", PIPELINE)]);
    let app = folder.path().join("deploy/app.yaml");
    let said = |what: &str| {
        let run = validate(folder.path(), "");
        assert_eq!(run.code, 3, "{what}: {run}");
        format!("{what}\n{run}")
    };
    let mut told = vec![said("missing")];
    fs::create_dir(folder.path().join("deploy")).unwrap();
    symlink(outside.path().join("app.yaml"), &app).unwrap();
    told.push(said("a link that leaves the root"));
    fs::remove_file(&app).unwrap();
    fs::create_dir(&app).unwrap();
    told.push(said("a folder"));
    fs::remove_dir(&app).unwrap();
    nix::unistd::mkfifo(&app, nix::sys::stat::Mode::S_IRWXU).unwrap();
    told.push(said("a pipe, which could be read for ever"));
    fs::remove_file(&app).unwrap();
    fs::write(&app, [0xff, 0xfe]).unwrap();
    told.push(said("no text"));
    insta::assert_snapshot!(told.join("\n\n"));
    fs::remove_file(&app).unwrap();
    fs::write(folder.path().join("real.yaml"), MANIFEST).unwrap();
    symlink("../real.yaml", &app).unwrap();
    assert_eq!(
        validate(folder.path(), "").code,
        0,
        "a link that stays below the root is a file of the repository"
    );
    fs::remove_dir_all(folder.path().join("deploy")).unwrap();
    symlink(outside.path(), folder.path().join("deploy")).unwrap();
    assert_eq!(
        validate(folder.path(), "").code,
        3,
        "a folder that is a link is followed too"
    );
}

#[test]
fn a_path_that_leaves_the_root_is_refused() {
    for path in ["../app.yaml", "/etc/passwd", "deploy/../../app.yaml"] {
        let text = PIPELINE.replace("deploy/app.yaml", path);
        let folder = repository(&[("a/pipelines/mc-api.toml", &text), ("app.yaml", MANIFEST)]);
        let run = validate(&folder.path().join("a"), "");
        assert_eq!(run.code, 3, "{path}: {run}");
    }
}

#[test]
fn two_files_of_one_service_are_a_fault() {
    let files = [
        ("pipelines/a.toml", PIPELINE),
        ("pipelines/b.toml", PIPELINE),
        ("deploy/app.yaml", MANIFEST),
    ];
    let run = validate(repository(&files).path(), "");
    assert_eq!(run.code, 3);
    assert!(
        run.out.contains("pipelines/a.toml is of the service mc-api too"),
        "{run}"
    );
}

#[test]
fn nothing_checked_is_not_all_well() {
    let empty = validate(repository(&[("x", "")]).path(), "");
    let no_files = validate(repository(&[("pipelines/x", "")]).path(), "");
    for run in [empty, no_files] {
        assert_eq!(run.code, 6, "{run}");
    }
    let missing = validate(repository(&[("x", "")]).path(), "nowhere.toml");
    assert!(
        missing.code == 3 && missing.out.starts_with("nowhere.toml: "),
        "{missing}"
    );
}

/// A canary's file and manifests, and what is odd about them.
#[test]
fn a_canary_is_checked_with_its_manifests() {
    let canary = |more: &str| {
        PIPELINE.replace(
            "strategy = \"rolling\"\n",
            &format!(
                "{more}[environment.strategy.canary]\nrouter = {{ http_route = \"mc-api\" }}\n\
                 steps = [{{ weight = 5, bake = \"5m\" }}, {{ weight = 50, bake = \"5m\" }}]\n"
            ),
        )
    };
    let service =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: mc-api}\nspec: {selector: {app: mc-api}}\n";
    let with_service = format!("{MANIFEST}{service}");
    let check = |pipeline: &str, manifest: &str| {
        let folder = repository(&[("pipelines/mc-api.toml", pipeline), ("deploy/app.yaml", manifest)]);
        validate(folder.path(), "")
    };
    let good = check(&canary("alarms = [\"5xx\"]\nwatch = \"30m\"\n"), &with_service);
    assert_eq!((good.code, good.err.as_str()), (0, ""), "{good}");
    let unwatched = check(&canary(""), &with_service);
    assert_eq!(unwatched.code, 0, "{unwatched}");
    assert!(
        unwatched
            .to_string()
            .contains("warning: environment[dev].strategy.canary"),
        "{unwatched}"
    );
    let no_service = check(&canary("alarms = [\"5xx\"]\n"), MANIFEST);
    assert_eq!(no_service.code, 3, "{no_service}");
    insta::assert_snapshot!(no_service);
}
