//! `--follow`: what is shown, and when and how it ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod double;
mod samples;

use double::{Operate, Reply, nothing_of_this_machine, run, words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use samples::*;
use sluice_domain::api::{Answer, EnvironmentStatus, RefusalKind, Request, RollbackOutcome};
use sluice_domain::environment::Phase;
use sluice_domain::promotion::PromotionState::{Failed, Preempted, RollingOut, Verified, Wanted};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers `status` with one state after the other, then with the last; `history` by the number of states shown.
fn scripted(states: Vec<Reply>, other: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Operate {
    let shown = AtomicUsize::new(0);
    Operate::new(move |_, request| match request {
        Request::Status { .. } => {
            let n = shown.fetch_add(1, Ordering::SeqCst);
            states[n.min(states.len() - 1)].clone()
        }
        other_request => other(other_request),
    })
}

fn production(environment: EnvironmentStatus) -> Reply {
    status(vec![environment]).into()
}

fn live(release: u32) -> EnvironmentStatus {
    environment("production", release)
}

/// Without the times, which are now.
fn untimed(text: &str) -> String {
    let line = |line: &str| match line.split_once("Z mc-api") {
        Some((_, rest)) => format!("<time> mc-api{rest}"),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

const ALL: &str = "status --follow --interval 100ms";
const ONE: &str = "status mc-api --environment production --release 43 --follow --interval 100ms";

#[test]
fn nothing_under_way_ends_at_once() {
    let operate = Operate::always(status(vec![environment("dev", 43)]));
    let run = run(&mut operate.sluice(ALL));
    assert_eq!(
        (run.code, run.out.as_str(), operate.requests().len()),
        (0, "Nothing is under way.\n", 1)
    );
}

#[test]
fn a_promotion_is_followed_until_it_is_verified() {
    let states = || {
        vec![
            production(asking(live(42), 43)),
            production(busy(live(42), "promotion", 43, Phase::Starting)),
            production(busy(live(42), "promotion", 43, Phase::Rolling)),
            production(busy(live(42), "promotion", 43, Phase::Rolling)),
            production(busy(live(42), "promotion", 43, Phase::Verified)),
            production(live(43)),
        ]
    };
    let verified = |_: &Request| history(43, &[("production", Verified)]).into();
    let mut told = Vec::new();
    for line in [ALL, ONE] {
        let run = run(&mut scripted(states(), verified).sluice(line));
        told.push(format!("$ sluice {line}\n{}", untimed(&run.to_string())));
    }
    insta::assert_snapshot!(told.join("\n\n"));
    let json = run(&mut scripted(states(), verified).sluice(&format!("{ALL} --output json")));
    let changes = json
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["change"].clone());
    let changes: Vec<_> = changes.collect();
    assert_eq!(
        changes,
        [
            "waiting",
            "under_way",
            "under_way",
            "under_way",
            "live",
            "promotion_ended",
            "followed"
        ]
    );
    assert_eq!((json.code, json.err.as_str()), (0, ""));
}

#[test]
fn a_promotion_that_fails_is_exit_code_9() {
    let states = || {
        vec![
            production(busy(live(42), "promotion", 43, Phase::Rolling)),
            production(busy(live(42), "promotion", 43, Phase::Restoring)),
            production(live(42)),
        ]
    };
    let failed = |_: &Request| history(43, &[("production", Failed)]).into();
    let mut told = Vec::new();
    for line in [ALL, ONE, "status --follow --interval 100ms --output json"] {
        let run = run(&mut scripted(states(), failed).sluice(line));
        assert_eq!(run.code, 9);
        let text = if line.contains("json") {
            run.err.clone()
        } else {
            untimed(&run.to_string())
        };
        told.push(format!("$ sluice {line}\n{text}"));
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn stuck_needs_a_person_and_ends_it() {
    let operate = Operate::always(production(busy(live(42), "promotion", 43, Phase::Stuck)));
    for line in [ALL, ONE] {
        let run = run(&mut operate.sluice(line));
        assert_eq!(run.code, 9, "{run}");
        assert!(run.err.contains("stuck"), "{run}");
    }
}

/// What counts is how the last thing in each environment ended.
#[test]
fn a_rollback_after_a_preempted_promotion_is_a_success() {
    let states = vec![
        production(busy(live(42), "promotion", 43, Phase::Rolling)),
        production(busy(live(42), "rollback", 42, Phase::Rolling)),
        production(live(42)),
    ];
    let run = run(&mut scripted(states, |_| history(43, &[("production", Preempted)]).into()).sluice(ALL));
    insta::assert_snapshot!(untimed(&run.to_string()));
}

#[test]
fn a_release_that_is_on_its_way_nowhere_is_not_waited_for_for_ever() {
    let elsewhere = |_: &Request| history(43, &[("dev", Verified)]).into();
    let operate = scripted(vec![production(live(42))], elsewhere);
    let verdict = run(&mut operate.sluice(ONE));
    assert_eq!(verdict.code, 9);
    assert!(
        verdict.err.contains("#43 is not on its way to production."),
        "{verdict}"
    );
    let none = |_: &Request| {
        Answer::History {
            releases: Vec::new(),
            more: false,
        }
        .into()
    };
    let verdict = run(&mut scripted(vec![production(live(42))], none).sluice(ONE));
    assert_eq!(verdict.code, 6, "{verdict}");
}

/// Two reads are no snapshot: a release that just left `dev` may be seen in neither environment.
#[test]
fn a_release_between_two_environments_is_waited_for() {
    let states = vec![
        status(vec![
            busy(environment("dev", 42), "promotion", 43, Phase::Rolling),
            live(42),
        ])
        .into(),
        status(vec![environment("dev", 43), live(42)]).into(),
        status(vec![
            environment("dev", 43),
            busy(live(42), "promotion", 43, Phase::Rolling),
        ])
        .into(),
        status(vec![environment("dev", 43), live(43)]).into(),
    ];
    let asked = AtomicUsize::new(0);
    let states_of = move |request: &Request| match request {
        Request::History {
            environment: Some(_), ..
        } => history(43, &[("dev", Verified)]).into(),
        _ => match asked.fetch_add(1, Ordering::SeqCst) {
            0 => history(43, &[("dev", Verified)]).into(),
            1 => history(43, &[("dev", Verified), ("production", RollingOut)]).into(),
            _ => history(43, &[("dev", Verified), ("production", Verified)]).into(),
        },
    };
    let operate = Operate::new({
        let script = scripted_fn(states, states_of);
        move |_, request| script(request)
    });
    let run = run(&mut operate.sluice(ONE));
    assert_eq!(run.code, 0, "{run}");
}

fn scripted_fn(
    states: Vec<Reply>,
    other: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let shown = AtomicUsize::new(0);
    move |request| match request {
        Request::Status { .. } => states[shown.fetch_add(1, Ordering::SeqCst).min(states.len() - 1)].clone(),
        request => other(request),
    }
}

#[test]
fn promote_follows_the_release_that_the_answer_names() {
    let states = vec![
        production(busy(live(42), "promotion", 43, Phase::Rolling)),
        production(live(43)),
    ];
    let operate = scripted(states, |request| match request {
        Request::Promote { .. } => done(
            "#43 is wanted in production.",
            None,
            Some("mc-api-43-production-2"),
        )
        .into(),
        _ => history(43, &[("production", Verified)]).into(),
    });
    let line = "promote mc-api production --follow --interval 100ms";
    insta::assert_snapshot!(untimed(&run(&mut operate.sluice(line)).to_string()));
    let operate = Operate::always(done("It is wanted.", None, None));
    let run = run(&mut operate.sluice(line));
    assert_eq!(run.code, 1, "{run}");
}

#[test]
fn rollback_follows_its_own_execution() {
    let line = "rollback mc-api production --follow --interval 100ms";
    let follow = |states: Vec<Reply>| {
        let operate = scripted(states, |_| rolled_back(RollbackOutcome::Started).into());
        run(&mut operate.sluice(line))
    };
    let rolling = || production(busy(live(43), "rollback", 41, Phase::Rolling));
    let good = follow(vec![rolling(), rolling(), production(live(41))]);
    let bad = follow(vec![
        rolling(),
        production(busy(live(43), "rollback", 41, Phase::Stuck)),
    ]);
    let lost = follow(vec![
        rolling(),
        production(busy(live(43), "promotion", 44, Phase::Rolling)),
    ]);
    let told = [good, bad].map(|run| untimed(&run.to_string())).join("\n\n");
    insta::assert_snapshot!(told);
    assert_eq!(lost.code, 9, "{lost}");
    let already = follow(vec![production(live(41))]);
    assert_eq!(already.code, 0, "{already}");
}

#[test]
fn a_short_outage_is_waited_out() {
    let mut states = vec![production(busy(live(42), "promotion", 43, Phase::Rolling))];
    // One look is three tries.
    states.extend(std::iter::repeat_n(
        Reply::refusal(RefusalKind::Unavailable, "The table is busy.", None),
        3,
    ));
    states.push(production(live(43)));
    let operate = scripted(states, |_| history(43, &[("production", Verified)]).into());
    let run = run(&mut operate.sluice(ALL));
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(run.err, "The table is busy.\n");
    let never = double::run(&mut Operate::always(Reply::raw(503, "")).sluice(ALL));
    assert_eq!(never.code, 7, "the first look must succeed");
}

#[test]
fn a_promotion_whose_row_is_not_over_is_waited_for() {
    let states = vec![
        production(busy(live(42), "promotion", 43, Phase::Rolling)),
        production(live(43)),
    ];
    let asked = AtomicUsize::new(0);
    let operate = scripted(states, move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => history(43, &[("production", Wanted)]).into(),
        _ => history(43, &[("production", Verified)]).into(),
    });
    let run = run(&mut operate.sluice(ALL));
    assert_eq!(run.code, 0, "{run}");
    assert!(run.out.contains("#43 verified"), "{run}");
}

#[test]
fn ctrl_c_ends_the_watching_and_says_that_nothing_was_changed() {
    let operate = Operate::always(production(busy(live(42), "promotion", 43, Phase::Rolling)));
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("sluice"))
        .env_clear()
        .envs(nothing_of_this_machine())
        .envs(operate.settings())
        .args(words(ALL))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.contains("rolling out"), "{first}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(
        err,
        "Stopped watching. What is under way goes on: nothing was changed.\n"
    );
}

/// `sluice status --follow | head -1`
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let operate = Operate::always(status(
        (0..200).map(|n| environment(&format!("e{n}"), 1)).collect(),
    ));
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("sluice"))
        .env_clear()
        .envs(nothing_of_this_machine())
        .envs(operate.settings())
        .args(words("status"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
