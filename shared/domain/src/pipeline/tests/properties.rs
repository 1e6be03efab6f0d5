//! Any edit of a valid file is read or refused, never a panic, and every fault is at a place of the file.

use super::super::{Pipeline, package, read};
use super::charts::{METADATA, archive};
use super::tracked::OBJECTS;
use super::{FULL, HELM, TRACKS, no_chart, pipeline};
use proptest::prelude::*;

fn check(text: &str) -> Result<(), TestCaseError> {
    let lines = text.lines().count().max(1);
    let faults = match read("p.toml", text) {
        Ok(checked) => {
            let stored = serde_json::to_value(&checked.pipeline).unwrap();
            prop_assert_eq!(
                serde_json::from_value::<Pipeline>(stored).unwrap(),
                checked.pipeline
            );
            checked.warnings
        }
        Err(faults) => {
            prop_assert!(!faults.0.is_empty(), "refused without a fault");
            let _ = faults.to_string();
            faults.0
        }
    };
    for fault in &faults {
        prop_assert!(
            (1..=lines).contains(&fault.line),
            "{} of {lines}: {fault}",
            fault.line
        );
        let width = text
            .lines()
            .nth(fault.line - 1)
            .map_or(0, |line| line.chars().count());
        prop_assert!((1..=width + 2).contains(&fault.column), "{fault}");
        prop_assert!(!fault.problem.is_empty() && !fault.right.is_empty(), "{fault:?}");
    }
    Ok(())
}

/// The full files, so that every key is met.
fn full() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(FULL), Just(HELM), Just(TRACKS)]
}

/// What people and accidents put into TOML.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\[\\]{}=\"',.#\n\\\\ 0-9a-z-]{0,6}",
        ".{0,4}",
        Just("[[environment]]\n".to_owned()),
        Just("[environment.approval]\n".to_owned()),
        Just("[environment]\n".to_owned()),
        Just("people.ana.iam = 1\n".to_owned()),
        Just("name = []\n".to_owned()),
        Just("a.b.c = {}\n".to_owned()),
        Just("\"\"\"".to_owned()),
        Just("\r\n".to_owned()),
        Just("0x1_0".to_owned()),
        Just("inf".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
    ]
}

fn edit(text: &str, at: usize, remove: usize, put: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let from = at % (characters.len() + 1);
    let to = (from + remove).min(characters.len());
    characters.splice(from..to, put.chars());
    characters.into_iter().collect()
}

/// Lines in another order, left out or doubled: headers without keys, keys below other headers.
fn shuffled(text: &str, order: &[usize]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    order
        .iter()
        .map(|n| lines[n % lines.len()])
        .collect::<Vec<_>>()
        .join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_file_never_panics(
        full in full(),
        edits in prop::collection::vec((any::<usize>(), 0usize..40, piece()), 1..4),
    ) {
        let text = edits.iter().fold(full.to_owned(), |text, (at, remove, put)| edit(&text, *at, *remove, put));
        check(&text)?;
    }

    #[test]
    fn a_file_of_shuffled_lines_never_panics(
        full in full(), order in prop::collection::vec(0usize..100, 0..60),
    ) {
        check(&shuffled(full, &order))?;
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}(\n\\PC{0,20}){0,5}") {
        check(&text)?;
    }

    #[test]
    fn any_manifest_never_panics(
        text in "((apiVersion|kind|metadata|spec|data|name): ?[\\[\\]{}&*!|>'\"a-zA-Z0-9/ -]{0,12}\n){0,6}",
        at in any::<usize>(), put in piece(),
    ) {
        let _ = package(&pipeline(FULL), "p.toml", FULL, |_| Ok(edit(&text, at, 3, &put)), no_chart);
    }

    /// Tracks look into Services, budgets, autoscalers and pod templates.
    #[test]
    fn any_manifest_with_tracks_never_panics(
        edits in prop::collection::vec((any::<usize>(), 0usize..30, piece()), 1..4),
    ) {
        let text = edits.iter().fold(OBJECTS.to_owned(), |text, (at, remove, put)| edit(&text, *at, *remove, put));
        let _ = package(&pipeline(TRACKS), "p.toml", TRACKS, |_| Ok(text.clone()), no_chart);
    }

    /// Values, Jobs and the chart's own files, whatever they say.
    #[test]
    fn any_file_of_helm_never_panics(
        text in "((apiVersion|kind|name|version|dependencies|replicaCount|spec|image): ?[\\[\\]{}&*!|>'\"a-zA-Z0-9/ -]{0,12}\n){0,6}",
        at in any::<usize>(), put in piece(), metadata in any::<bool>(),
    ) {
        let text = edit(&text, at, 3, &put);
        let chart = if metadata { text.as_str() } else { METADATA };
        let chart = archive(&[("Chart.yaml", chart), ("values.yaml", &text)]);
        let _ = package(&pipeline(HELM), "p.toml", HELM, |_| Ok(text.clone()), |_| Ok(chart.clone()));
    }
}

#[test]
fn a_stored_pipeline_with_an_unknown_key_is_refused() {
    let mut stored = serde_json::to_value(pipeline(FULL)).unwrap();
    stored["environments"][1]["gates"] = serde_json::json!({"soak": 7200});
    assert!(serde_json::from_value::<Pipeline>(stored).is_err());
}
