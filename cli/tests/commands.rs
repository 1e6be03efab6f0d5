//! Each command: what it asks, what people read, what programs read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod double;
mod samples;

use double::{Operate, fits, run};
use samples::*;
use sluice_domain::api::{Answer, RollbackOutcome};
use sluice_domain::environment::Phase;
use sluice_domain::ids::Hash;
use sluice_domain::promotion::PromotionState::{Failed, Verified};

/// Each command with an answer to it.
fn cases() -> Vec<(&'static str, Answer)> {
    let yes = || done("Done as asked.", Some("sluice status mc-api"), None);
    let under_way = asking(
        busy(environment("production", 41), "promotion", 42, Phase::Rolling),
        43,
    );
    vec![
        ("status", status(vec![environment("dev", 43), under_way.clone()])),
        (
            "status mc-api --environment production",
            status(vec![environment("dev", 43), under_way]),
        ),
        (
            "history mc-api --limit 1",
            history(43, &[("dev", Verified), ("staging", Failed)]),
        ),
        (
            "history mc-api --environment dev --before mc-api#44",
            history(43, &[("dev", Verified)]),
        ),
        ("promote mc-api production", yes()),
        ("promote mc-api production #43", yes()),
        (
            "promote mc-api production 43 --full --reason seen_at_25_percent",
            yes(),
        ),
        (
            "promote mc-api production 43 --despite mc-api-5xx --despite mc-api-p99 --reason this_mends_it",
            yes(),
        ),
        ("pause mc-api production --reason p99", yes()),
        ("resume mc-api production", yes()),
        ("approve mc-api production 43 --reason looked_at_staging", yes()),
        ("reject mc-api production 43", yes()),
        ("plan mc-api production", plan()),
        ("plan mc-api production #43", plan()),
        ("answer mc-api production load-test --passed", yes()),
        (
            "answer mc-api production load-test --failed --reason slow --release 43",
            yes(),
        ),
        ("retry mc-api production --release 43 --reason network", yes()),
        ("remove mc-api --yes", yes()),
        ("abort mc-api production 43 --reason wrong_one", yes()),
        (
            "rollback mc-api production",
            rolled_back(RollbackOutcome::Started),
        ),
        (
            "rollback mc-api production --to 41 --reason errors",
            rolled_back(RollbackOutcome::Joined),
        ),
        ("hold mc-api production --reason sale", yes()),
        ("unhold mc-api production", yes()),
        ("quarantine mc-api 43 --reason CVE-2026-1234", yes()),
        ("unquarantine mc-api 43", yes()),
    ]
}

#[test]
fn what_people_read() {
    let mut told = Vec::new();
    for (line, answer) in cases() {
        let operate = Operate::always(answer);
        let run = run(&mut operate.sluice(line));
        fits(&run);
        assert!(
            !run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'),
            "no colour into a pipe"
        );
        let requests: Vec<_> = operate
            .requests()
            .iter()
            .map(|one| serde_json::to_string(one).unwrap())
            .collect();
        told.push(format!(
            "$ sluice {line}\nasks {}\n{run}\n",
            requests.join("\nasks ")
        ));
    }
    insta::assert_snapshot!(told.join("\n"));
}

/// Every answer is printed as the protocol has it, so that a program may read it with the protocol's own types.
#[test]
fn what_programs_read_is_the_answer() {
    for (line, answer) in cases() {
        let run = run(&mut Operate::always(answer.clone()).sluice(&format!("{line} --output json")));
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{line}");
        let mut read: Answer =
            serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let (Answer::Status { services: read }, Answer::Status { services: all }) = (&mut read, &answer)
            && line.contains("--environment")
        {
            assert_eq!(
                read[0].environments,
                all[0].environments[1..],
                "only the one asked for"
            );
            continue;
        }
        assert_eq!(read, answer, "{line}");
    }
}

/// Nobody is there to be asked: nothing is sent.
#[test]
fn a_service_is_not_removed_without_a_word() {
    let operate = Operate::always(done("Done.", None, None));
    let run = run(&mut operate.sluice("remove mc-api"));
    assert!(operate.requests().is_empty());
    insta::assert_snapshot!(run, @r"
        -- standard error
        error: Nobody is there to say whether mc-api shall leave Sluice's care.
        next: sluice remove mc-api --yes
        -- exit code 2
        ");
}

#[test]
fn colour_is_as_asked_for() {
    let operate = Operate::always(done("Done.", Some("sluice status"), None));
    let colour = |command: &mut assert_cmd::Command| run(command).out.contains('\u{1b}');
    assert!(!colour(&mut operate.sluice("unhold mc-api dev")));
    assert!(colour(&mut operate.sluice("unhold mc-api dev --color always")));
    assert!(!colour(operate.sluice("unhold mc-api dev").env("NO_COLOR", "1")));
    assert!(colour(
        operate.sluice("unhold mc-api dev").env("CLICOLOR_FORCE", "1")
    ));
    assert!(!colour(
        operate
            .sluice("unhold mc-api dev --color never")
            .env("CLICOLOR_FORCE", "1")
    ));
}

#[test]
fn an_environment_that_is_not_there_is_not_found() {
    let operate = Operate::always(status(vec![environment("dev", 1)]));
    let run = run(&mut operate.sluice("status mc-api --environment production"));
    insta::assert_snapshot!(run, @r"
    -- standard error
    error: mc-api has no environment named production.
    next: sluice status mc-api
    -- exit code 6
    ");
}

/// `--output`, `--url` and `--region` may stand before or after the command.
#[test]
fn settings_stand_anywhere() {
    let operate = Operate::always(done("Done.", None, None));
    let mut command = double::sluice("--output json unhold mc-api dev --region eu-west-1");
    let settings = operate
        .settings()
        .into_iter()
        .filter(|(name, _)| name.starts_with("AWS_") && *name != "AWS_REGION");
    let run = run(command.envs(settings).args(["--url", &operate.url]));
    assert_eq!(run.code, 0, "{run}");
}

const MANIFEST: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: mc-api}
spec:
  selector: {matchLabels: {app: mc-api}}
  template:
    metadata: {labels: {app: mc-api}}
    spec: {containers: [{name: app, image: mc-api}]}
";

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

#[test]
fn apply_sends_what_was_checked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deploy")).unwrap();
    std::fs::write(folder.path().join("deploy/app.yaml"), MANIFEST).unwrap();
    std::fs::write(folder.path().join("mc-api.toml"), PIPELINE).unwrap();
    let mut told = Vec::new();
    for (changed, approval_changed) in [(true, vec![]), (true, vec![env("production")]), (false, vec![])] {
        let answer = Answer::Applied {
            service: name("mc-api"),
            version: Hash::parse(&"5e6f7a8b".repeat(8)).unwrap(),
            changed,
            approval_changed,
            warnings: vec!["seen by Sluice alone".into()],
        };
        let operate = Operate::always(answer.clone());
        told.push(run(operate.sluice("apply mc-api.toml").current_dir(&folder)).to_string());
        let json = run(operate
            .sluice("apply mc-api.toml --output json")
            .current_dir(&folder));
        assert_eq!(serde_json::from_str::<Answer>(&json.out).unwrap(), answer);
        for request in operate.requests() {
            let sent = serde_json::to_value(request).unwrap();
            assert_eq!(sent["text"], PIPELINE);
            assert_eq!(
                sent["manifests"],
                serde_json::json!({"deploy/app.yaml": MANIFEST})
            );
            assert_eq!(sent["file"], "mc-api.toml");
        }
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn apply_asks_nothing_where_the_file_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("mc-api.toml"),
        PIPELINE.replace("rolling", "rollin"),
    )
    .unwrap();
    let operate = Operate::always(done("", None, None));
    let run = run(operate.sluice("apply mc-api.toml").current_dir(&folder));
    assert!(operate.requests().is_empty());
    insta::assert_snapshot!(run);
}
