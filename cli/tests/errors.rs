//! What goes wrong: which exit code, what people read, what programs read, and what is tried again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod double;
mod samples;

use double::{Operate, Reply, run, sluice};
use samples::*;
use sluice_domain::api::RefusalKind;

const READ: &str = "status";
const CHANGE: &str = "promote mc-api production 43";

#[test]
fn each_refusal_has_its_exit_code() {
    let kinds = [
        (RefusalKind::Invalid, 3, "invalid"),
        (RefusalKind::Denied, 4, "denied"),
        (RefusalKind::Refused, 5, "refused"),
        (RefusalKind::NotFound, 6, "not_found"),
        (RefusalKind::Unavailable, 7, "unavailable"),
    ];
    for (kind, code, word) in kinds {
        let operate = Operate::always(Reply::refusal(kind, "It is so.", Some("sluice status mc-api")));
        let text = run(&mut operate.sluice(CHANGE));
        assert_eq!((text.code, text.out.as_str()), (code, ""));
        assert_eq!(text.err, "error: It is so.\nnext: sluice status mc-api\n");
        assert_eq!(operate.requests().len(), 1, "a change is asked for once");
        let json = run(&mut operate.sluice(&format!("{CHANGE} --output json")));
        let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
        assert_eq!((json.code, json.out.as_str()), (code, ""));
        assert_eq!(error["error"]["kind"], word);
        assert_eq!(error["error"]["exit_code"], code);
        assert_eq!(error["error"]["message"], "It is so.");
        assert_eq!(error["error"]["next"], "sluice status mc-api");
    }
}

#[test]
fn every_fault_of_a_refusal_is_shown() {
    let Reply::Refusal(mut refusal) = Reply::refusal(RefusalKind::Invalid, "Two faults.", None) else {
        return;
    };
    refusal.faults = vec!["a.toml:1:1:\n    one".into(), "a.toml:2:1: two\u{1b}[31m".into()];
    let operate = Operate::always(Reply::Refusal(refusal));
    insta::assert_snapshot!(run(&mut operate.sluice(CHANGE)), @r"
    -- standard error
    error: Two faults.
    a.toml:1:1:
        one
      - a.toml:2:1: two [31m
    -- exit code 3
    ");
}

/// What does not come from Sluice, but from the Function URL or from something else at that address.
#[test]
fn what_stands_before_sluice_is_told_apart() {
    let aws = |status, kind, body: &str| Reply::Raw(status, vec![("x-amzn-errortype", kind)], body.into());
    let replies = [
        (
            "IAM says no",
            aws(403, "AccessDeniedException", r#"{"Message":"Forbidden"}"#),
        ),
        (
            "the signature is wrong",
            aws(
                403,
                "InvalidSignatureException:http://x/",
                r#"{"message":"It does not match."}"#,
            ),
        ),
        (
            "the session is over",
            aws(
                403,
                "ExpiredTokenException",
                r#"{"message":"The token is expired."}"#,
            ),
        ),
        (
            "too many",
            aws(
                429,
                "TooManyRequestsException",
                r#"{"Reason":"ReservedFunctionConcurrent"}"#,
            ),
        ),
        ("it crashed", Reply::raw(502, "Internal Server Error")),
        ("out of order", Reply::raw(503, "")),
        ("a web page", Reply::raw(404, "<html>not here</html>")),
        (
            "a redirect",
            Reply::Raw(301, vec![("location", "https://example.com/")], Vec::new()),
        ),
        ("no JSON", Reply::raw(200, "hello")),
        ("JSON of another kind", Reply::raw(200, r#"{"answer":"weather"}"#)),
        ("an answer to something else", status(vec![]).into()),
        (
            "too much",
            Reply::Raw(200, Vec::new(), vec![b' '; 9 * 1024 * 1024]),
        ),
    ];
    let told: Vec<String> = replies
        .into_iter()
        .map(|(what, reply)| format!("{what}\n{}\n", run(&mut Operate::always(reply).sluice(CHANGE))))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_read_is_tried_three_times_and_a_change_once() {
    for passing in [
        Reply::raw(503, ""),
        Reply::refusal(RefusalKind::Unavailable, "The table is busy.", None),
    ] {
        let late = move |n, _: &_| {
            if n < 2 {
                passing.clone()
            } else {
                status(vec![environment("dev", 1)]).into()
            }
        };
        let operate = Operate::new(late.clone());
        assert_eq!(run(&mut operate.sluice(READ)).code, 0);
        assert_eq!(operate.requests().len(), 3);
        let operate = Operate::new(late);
        assert_eq!(run(&mut operate.sluice(CHANGE)).code, 7);
        assert_eq!(operate.requests().len(), 1);
    }
    let operate = Operate::always(Reply::raw(503, ""));
    assert_eq!(run(&mut operate.sluice(READ)).code, 7);
    assert_eq!(operate.requests().len(), 3);
    let operate = Operate::always(Reply::refusal(RefusalKind::Refused, "No.", None));
    assert_eq!(run(&mut operate.sluice(READ)).code, 5);
    assert_eq!(
        operate.requests().len(),
        1,
        "what was answered is not asked again"
    );
}

#[test]
fn silence_has_an_end_and_leaves_a_change_in_doubt() {
    let operate = Operate::always(Reply::Silence);
    let change = run(&mut operate.sluice(&format!("{CHANGE} --timeout 300ms")));
    assert_eq!((change.code, operate.requests().len()), (7, 1));
    assert!(
        change
            .err
            .contains("Whether the command was carried out is not known."),
        "{change}"
    );
    assert!(change.err.contains("next: sluice status"), "{change}");
    let read = run(&mut operate.sluice(&format!("{READ} --timeout 300ms")));
    assert_eq!((read.code, operate.requests().len()), (7, 4));
    assert!(!read.err.contains("is not known"), "{read}");
}

#[test]
fn what_takes_long_gives_a_sign_of_life_to_people_only() {
    let operate = Operate::always(Reply::Silence);
    let text = run(&mut operate.sluice(&format!("{CHANGE} --timeout 3s")));
    assert!(
        text.err.starts_with("Still waiting for Sluice's answer ...\n"),
        "{text}"
    );
    let json = run(&mut operate.sluice(&format!("{CHANGE} --timeout 3s --output json")));
    assert!(
        serde_json::from_str::<serde_json::Value>(&json.err).is_ok(),
        "{json}"
    );
}

#[test]
fn nobody_there_means_nothing_was_changed() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let operate = Operate::always(status(vec![]));
    let run = run(operate
        .sluice(CHANGE)
        .env("SLUICE_URL", format!("http://{free}/")));
    assert_eq!(run.code, 7);
    assert!(
        run.err
            .starts_with("error: Nothing answers at 127.0.0.1. Nothing was changed.\n"),
        "{run}"
    );
}

#[test]
fn a_missing_setting_is_named_with_the_way_to_set_it() {
    let operate = Operate::always(status(vec![]));
    let without = |names: &[&str]| {
        let mut command = operate.sluice(CHANGE);
        for name in names {
            command.env_remove(name);
        }
        mine(&run(&mut command))
    };
    // What the SDK says of each place where it looked is its own, and changes.
    fn mine(run: &double::Run) -> String {
        let text = run.to_string();
        let own = text.lines().filter(|line| !line.starts_with("  "));
        own.collect::<Vec<_>>().join("\n")
    }
    let told = [
        without(&["SLUICE_URL"]),
        without(&["AWS_REGION"]),
        without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]),
        run(operate
            .sluice(CHANGE)
            .env("SLUICE_URL", "http://sluice.example.com/"))
        .to_string(),
        mine(&run(operate
            .sluice(&format!("{CHANGE} --profile nobody"))
            .env_remove("AWS_ACCESS_KEY_ID"))),
    ];
    assert!(operate.requests().is_empty());
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_wrong_command_line_is_said_to_programs_too() {
    for line in [
        "",
        "promot",
        "promote mc-api",
        "hold mc-api dev",
        "approve mc-api dev mc-web#1",
        "status --interval 2s",
    ] {
        let text = run(&mut sluice(line));
        assert_eq!((text.code, text.out.as_str()), (2, ""), "{line}: {text}");
    }
    let json = run(&mut sluice("promote mc-api Dev --output json"));
    let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!((json.code, &error["error"]["kind"]), (2, &"usage".into()));
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("environment name `Dev`"),
        "{error}"
    );
    for line in ["--version", "--help", "ledger verify --help"] {
        assert_eq!(run(&mut sluice(line)).code, 0, "{line}");
    }
}
