//! A chart of the repository: packed the same each time, without what its `.helmignore` lists.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod double;
mod samples;

use double::{Operate, Run, run, sluice};
use samples::done;
use sluice_domain::api::Request;
use sluice_domain::pipeline::{package, read};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

const PIPELINE: &str = r#"service = "mc-api"

[source]
repository = "mc-api"
tags = ["^[0-9a-f]{7,40}$"]

[workload.helm]
chart = "charts/api"
image = "image"

[[environment]]
name = "staging"
cluster = "mc-staging-eks"
namespace = "staging"
values = ["charts/api/values.staging.yaml"]
scale = 0.2
before = [{ job = "jobs/migrate.yaml" }]

[[environment]]
name = "production"
cluster = "mc-prod-eks"
namespace = "production"
"#;

const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: migrate}]}}}
";

const FILES: [(&str, &str); 9] = [
    ("pipelines/mc-api.toml", PIPELINE),
    ("jobs/migrate.yaml", JOB),
    (
        "charts/api/Chart.yaml",
        "apiVersion: v2\nname: api\nversion: 1.2.3\n",
    ),
    (
        "charts/api/values.yaml",
        "replicaCount: 10\nimage: {repository: x, digest: ''}\n",
    ),
    ("charts/api/values.staging.yaml", "debug: true\n"),
    ("charts/api/templates/api.yaml", "kind: Deployment\n"),
    ("charts/api/templates/.draft.yaml", "kind: Secret\n"),
    ("charts/api/notes/todo.md", "not for helm\n"),
    ("charts/api/.helmignore", "# notes\nnotes/\n*.orig\n"),
];

fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // in another order each time that it matters: a folder lists its files in the order of their making
    for (path, text) in FILES.iter().rev() {
        put(folder.path(), path, text);
    }
    folder
}

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn validate(folder: &Path, line: &str) -> Run {
    run(sluice(&format!("validate {line}")).current_dir(folder))
}

/// The version, and the chart's hash.
fn named(folder: &Path) -> (String, String) {
    let found = validate(folder, "--output json");
    let value: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    let file = &value["files"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&file["version"]), text(&file["helm"]["chart"]["archive"]))
}

#[test]
fn what_was_found_is_said() {
    let folder = repository();
    let found = validate(folder.path(), "");
    assert_eq!((found.code, found.err.as_str()), (0, ""), "{found}");
    let (version, archive) = named(folder.path());
    let said = found
        .out
        .replace(&version[..12], "<version>")
        .replace(&archive[..12], "<archive>");
    insta::assert_snapshot!(said);
    assert!(
        found.out.lines().all(|line| line.chars().count() <= 80),
        "{found}"
    );
}

#[test]
fn the_same_folder_is_the_same_version() {
    let (one, two) = (repository(), tempfile::tempdir().unwrap());
    for (path, text) in FILES {
        put(two.path(), path, text);
    }
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let values = two.path().join("charts/api/values.yaml");
    fs::File::options()
        .write(true)
        .open(&values)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    fs::set_permissions(&values, fs::Permissions::from_mode(0o600)).unwrap();
    let first = named(one.path());
    assert_eq!(named(one.path()), first);
    assert_eq!(named(two.path()), first);
    // what is left out is no part of it
    put(one.path(), "charts/api/notes/more.md", "x");
    put(one.path(), "charts/api/values.yaml.orig", "x");
    put(one.path(), "charts/api/templates/.swp", "x");
    assert_eq!(named(one.path()), first);
    put(one.path(), "charts/api/templates/more.yaml", "kind: Service\n");
    assert_ne!(named(one.path()).1, first.1);
}

/// What is sent is what the same check on the other side takes for the same version.
#[test]
fn apply_sends_the_archive_with_values_and_jobs() {
    let folder = repository();
    let operate = Operate::always(done("", None, None));
    run(operate.sluice("apply pipelines/mc-api.toml").current_dir(&folder));
    let Request::Apply {
        file,
        text,
        manifests,
        charts,
    } = operate.requests().remove(0)
    else {
        unreachable!("another request")
    };
    let sent: Vec<&str> = manifests.keys().map(String::as_str).collect();
    assert_eq!(sent, ["charts/api/values.staging.yaml", "jobs/migrate.yaml"]);
    let archives: BTreeMap<&str, Vec<u8>> = charts
        .iter()
        .map(|(path, text)| (path.as_str(), decoded(text)))
        .collect();
    let again = package(
        &read(&file, &text).unwrap().pipeline,
        &file,
        &text,
        |path| Ok(manifests[path].clone()),
        |path| Ok(archives[path].clone()),
    );
    let chart = again.unwrap().package.chart.unwrap();
    assert_eq!(chart.archive.as_str(), named(folder.path()).1);
}

/// What Lambda would cut off is not sent.
#[test]
fn what_is_too_large_to_be_sent_is_told_before() {
    let folder = repository();
    let mut state = 88_172_645_463_325_252_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let noise: Vec<u8> = words.take((2_900 << 10) / 8).flatten().collect();
    fs::create_dir(folder.path().join("charts/api/files")).unwrap();
    fs::write(folder.path().join("charts/api/files/noise"), noise).unwrap();
    let large = format!("{PIPELINE}values = [\"a.yaml\", \"b.yaml\"]\n");
    put(folder.path(), "pipelines/mc-api.toml", &large);
    for path in ["a.yaml", "b.yaml"] {
        put(folder.path(), path, &format!("a: {}\n", "x".repeat(1_000_000)));
    }
    let operate = Operate::always(done("", None, None));
    let found = run(operate.sluice("apply pipelines/mc-api.toml").current_dir(&folder));
    assert!(operate.requests().is_empty());
    assert!(
        found.code == 3 && found.err.contains("too large to be sent"),
        "{found}"
    );
}

fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn folders_that_are_no_chart_are_told() {
    let told = |what: &str, change: &dyn Fn(&Path)| {
        let folder = repository();
        change(&folder.path().join("charts/api"));
        let found = validate(folder.path(), "");
        assert_eq!(found.code, 3, "{what}: {found}");
        format!("# {what}\n{}", found.out)
    };
    let told = [
        told("missing", &|chart| {
            fs::rename(chart, chart.with_file_name("web")).unwrap()
        }),
        told("a file", &|chart| {
            fs::rename(chart, chart.with_file_name("web")).unwrap();
            fs::write(chart, "").unwrap();
        }),
        told("a link in it", &|chart| {
            symlink("/etc/passwd", chart.join("templates/x.yaml")).unwrap()
        }),
        told("a pipe in it", &|chart| {
            nix::unistd::mkfifo(&chart.join("x"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        told("rules that are none", &|chart| {
            put(chart, ".helmignore", "a\n**/b\n")
        }),
        told("rules of elsewhere", &|chart| {
            fs::remove_file(chart.join(".helmignore")).unwrap();
            symlink("/dev/zero", chart.join(".helmignore")).unwrap();
        }),
        told("no Chart.yaml", &|chart| {
            fs::remove_file(chart.join("Chart.yaml")).unwrap()
        }),
        told("a dependency that is not there", &|chart| {
            let needs =
                "apiVersion: v2\nname: api\nversion: 1.2.3\ndependencies: [{name: redis, version: 1}]\n";
            put(chart, "Chart.yaml", needs);
        }),
        told("too large", &|chart| put(chart, "files/x", &"x".repeat(17 << 20))),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_chart_outside_of_the_root_is_not_read() {
    let (folder, outside) = (repository(), repository());
    fs::remove_dir_all(folder.path().join("charts")).unwrap();
    symlink(outside.path().join("charts"), folder.path().join("charts")).unwrap();
    let found = validate(folder.path(), "");
    assert!(
        found.code == 3 && found.out.contains("leaves the repository's root"),
        "{found}"
    );
}
