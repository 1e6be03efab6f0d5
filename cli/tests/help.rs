//! The words of `--help`, and that the reference says the same.
#![allow(clippy::unwrap_used)]

mod double;

use double::{run, sluice};

const COMMANDS: [&str; 22] = [
    "validate",
    "apply",
    "status",
    "history",
    "plan",
    "promote",
    "pause",
    "resume",
    "approve",
    "reject",
    "answer",
    "retry",
    "abort",
    "rollback",
    "hold",
    "unhold",
    "quarantine",
    "unquarantine",
    "remove",
    "ledger",
    "ledger verify",
    "ledger export",
];

#[test]
fn the_first_help() {
    let run = run(&mut sluice("--help"));
    assert!(run.out.lines().all(|line| line.chars().count() <= 100), "{run}");
    insta::assert_snapshot!(run);
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let mut told = Vec::new();
    for command in COMMANDS {
        let run = run(&mut sluice(&format!("{command} -h")));
        assert_eq!(run.code, 0);
        assert!(
            command == "ledger" || run.out.contains(&format!("  sluice {command}")),
            "no example: {run}"
        );
        // The settings of every command stand in each help; once is enough here.
        let (own, _) = run.out.split_once("Connection:").unwrap();
        let (_, examples) = run.out.rsplit_once("\n\nExample").unwrap_or(("", ""));
        told.push(format!("{}\nExample{}", own.trim_end(), examples.trim_end()));
    }
    insta::assert_snapshot!(told.join("\n\n----\n\n"));
}

#[test]
fn the_reference_names_every_command_and_every_exit_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let reference = std::fs::read_to_string(path).unwrap();
    for command in COMMANDS.iter().filter(|command| **command != "ledger") {
        assert!(reference.contains(&format!("`sluice {command} ")), "{command}");
    }
    let help = run(&mut sluice("--help")).out;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let codes = codes
        .lines()
        .map_while(|line| line.trim().split_once("  ").or(line.trim().split_once(' ')));
    let codes: Vec<_> = codes.filter_map(|(code, _)| code.parse::<u8>().ok()).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]);
    for code in codes {
        assert!(reference.contains(&format!("| {code} |")), "exit code {code}");
    }
}
