//! `ledger export` and `ledger verify`: a ledger that is whole passes, and any other does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod double;
mod samples;

use double::{Operate, Reply, Run, run, sluice};
use jiff::Timestamp;
use samples::{env, name};
use sluice_domain::api::{Answer, RefusalKind, Request};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::ledger::{Entry, Event, Head, Record, append};
use std::fs;
use std::path::Path;

fn chain(length: u64, by: &str) -> (Vec<Entry>, Head) {
    let mut head = Head::default();
    let entry = |number: u64| {
        let record = Record {
            event: Event::PromotionWanted,
            by: by.to_owned(),
            release: Some(ReleaseNumber(number as u32)),
            digest: None,
            execution: None,
            fence: None,
            reason: None,
        };
        let at = Timestamp::from_second(1_800_000_000 + number as i64).unwrap();
        append(&mut head, &name("mc-api"), &env("production"), record, at).unwrap()
    };
    let entries = (1..=length).map(entry).collect();
    (entries, head)
}

/// Answers pages as the table holds them.
fn serving(entries: Vec<Entry>, head: Head) -> Operate {
    Operate::new(move |_, request| {
        let Request::Ledger { after, limit, .. } = request else {
            return Reply::refusal(RefusalKind::Invalid, "not the ledger", None);
        };
        let page = entries
            .iter()
            .filter(|entry| entry.seq > *after)
            .take(*limit as usize)
            .cloned()
            .collect();
        Answer::Ledger {
            entries: page,
            head: head.clone(),
        }
        .into()
    })
}

fn export(entries: &[Entry], head: &Head) -> Vec<String> {
    let lines = entries.iter().map(|entry| serde_json::to_string(entry).unwrap());
    lines
        .chain([format!("{{\"head\":{}}}", serde_json::to_string(head).unwrap())])
        .collect()
}

fn verify(lines: &[String], folder: &Path) -> Run {
    fs::write(folder.join("export.jsonl"), lines.join("\n") + "\n").unwrap();
    run(sluice("ledger verify --file export.jsonl").current_dir(folder))
}

#[test]
fn an_export_has_every_entry_of_every_page_and_its_head_and_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (entries, head) = chain(1_201, "sluice");
    let operate = serving(entries.clone(), head.clone());
    let exported = run(operate
        .sluice("ledger export mc-api production --file e.jsonl")
        .current_dir(&folder));
    assert_eq!(operate.requests().len(), 3, "pages of 500");
    insta::assert_snapshot!(exported, @r"
    Exported 1201 entries of mc-api production.
    next: sluice ledger verify --file e.jsonl
    -- exit code 0
    ");
    let text = fs::read_to_string(folder.path().join("e.jsonl")).unwrap();
    assert!(
        text.lines().eq(export(&entries, &head)),
        "every entry in order, then the head"
    );
    let names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["e.jsonl"], "no half-written file is left");
    let piped = run(&mut operate.sluice("ledger export mc-api production"));
    assert_eq!(piped.out, text);
    let verified = run(sluice("ledger verify --file e.jsonl").current_dir(&folder));
    assert_eq!(verified.code, 0, "{verified}");
    assert_eq!(
        verified.out,
        format!(
            "mc-api production: 1201 entries, ending in {}; the chain is whole.\n",
            &head.hash[..12]
        )
    );
    assert_eq!(
        run(&mut operate.sluice("ledger verify mc-api production")).out,
        verified.out
    );
    let both = run(operate
        .sluice("ledger verify mc-api production --file e.jsonl")
        .current_dir(&folder));
    assert_eq!(both.out, verified.out);
}

#[test]
fn an_empty_ledger_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let operate = serving(Vec::new(), Head::default());
    assert_eq!(
        run(operate
            .sluice("ledger export mc-api dev --file e")
            .current_dir(&folder))
        .code,
        0
    );
    let run = run(sluice("ledger verify --file e").current_dir(&folder));
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "e: 0 entries; the chain is whole.\n")
    );
}

/// Each way to tamper with an export, and what is said of it.
#[test]
fn what_was_tampered_with_is_found() {
    type Tamper = fn(&mut Vec<String>);
    let cases: [(&str, Tamper); 16] = [
        ("an entry was edited", |lines| {
            lines[1] = lines[1].replace("sluice", "ana")
        }),
        ("a field was added", |lines| {
            lines[1] = lines[1].replacen('{', r#"{"note":"all well","#, 1)
        }),
        ("a field is there twice", |lines| {
            lines[1] = lines[1].replacen('{', r#"{"by":"ana","#, 1)
        }),
        ("a time is spelt differently", |lines| {
            lines[1] = lines[1].replace("02Z", "02.000Z")
        }),
        ("the first entry was removed", |lines| drop(lines.remove(0))),
        ("an entry was removed", |lines| drop(lines.remove(1))),
        ("the last entry was removed", |lines| drop(lines.remove(3))),
        ("two entries were swapped", |lines| lines.swap(1, 2)),
        ("an entry is there twice", |lines| {
            lines.insert(1, lines[1].clone())
        }),
        ("the head was removed", |lines| drop(lines.pop())),
        ("the end was cut off", |lines| lines.truncate(2)),
        ("the head was cut off in the middle", |lines| {
            lines[4].truncate(20)
        }),
        ("the head was edited", |lines| {
            lines[4] = lines[4].replace("\"seq\":4", "\"seq\":5")
        }),
        ("something follows the head", |lines| lines.push(lines[3].clone())),
        ("a line is of another environment", |lines| {
            lines[2] = lines[2].replace("production", "staging")
        }),
        ("everything was removed", Vec::clear),
    ];
    let folder = tempfile::tempdir().unwrap();
    let (entries, head) = chain(4, "sluice");
    let mut told = Vec::new();
    for (what, tamper) in cases {
        let mut lines = export(&entries, &head);
        tamper(&mut lines);
        let run = verify(&lines, folder.path());
        assert_eq!((run.code, run.out.as_str()), (8, ""), "{what}: {run}");
        told.push(format!("{what}\n{}", run.err));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_no_export_is_no_whole_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let long = vec!["x".repeat(1024 * 1024)];
    for lines in [
        vec!["hello".to_owned()],
        vec!["[]".to_owned()],
        vec!["{}".to_owned()],
        long,
    ] {
        assert_eq!(verify(&lines, folder.path()).code, 8);
    }
    let many: Vec<String> = (0..3_000).map(|_| "{}".to_owned()).collect();
    let run = verify(&many, folder.path());
    assert!(
        run.err.lines().count() < 1_010 && run.err.contains("more"),
        "an end to it"
    );
    assert_eq!(
        double::run(&mut sluice("ledger verify --file /nonexistent/export")).code,
        6
    );
    assert_eq!(double::run(&mut sluice("ledger verify")).code, 2);
    assert_eq!(double::run(&mut sluice("ledger verify mc-api")).code, 2);
}

/// The strongest forger rewrites the whole chain and its head: an export alone does not show it, the table does.
#[test]
fn a_chain_rewritten_whole_is_found_by_comparing_with_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let (entries, head) = chain(4, "sluice");
    let (forged, forged_head) = chain(4, "somebody");
    assert_eq!(verify(&export(&forged, &forged_head), folder.path()).code, 0);
    let line = "ledger verify mc-api production --file export.jsonl";
    let run = |operate: &Operate, line: &str| double::run(operate.sluice(line).current_dir(&folder));
    let compared = run(&serving(entries.clone(), head.clone()), line);
    assert_eq!(compared.code, 8);
    assert!(compared.err.contains("entry 4 is "), "{compared}");
    let shorter = run(&serving(Vec::new(), Head::default()), line);
    assert!(
        shorter.code == 8 && shorter.err.contains("is not in the table any more"),
        "{shorter}"
    );
    let other = run(
        &serving(entries, head),
        "ledger verify mc-api dev --file export.jsonl",
    );
    assert!(
        other.code == 8 && other.err.contains("not of mc-api dev"),
        "{other}"
    );
}

#[test]
fn a_table_that_was_tampered_with_is_found_and_exported_as_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let (entries, head) = chain(4, "sluice");
    let mut edited = entries.clone();
    edited[1].record.by = "ana".into();
    let mut renumbered = entries.clone();
    renumbered[3].seq = 1;
    let (grown, _) = chain(5, "sluice");
    for (what, table) in [
        ("edited", edited),
        ("removed", [&entries[..1], &entries[2..]].concat()),
        ("cut", entries[..3].to_vec()),
        ("renumbered", renumbered),
        ("appended without its head", grown),
        ("emptied", Vec::new()),
    ] {
        let operate = serving(table, head.clone());
        let verified = run(&mut operate.sluice("ledger verify mc-api production"));
        assert_eq!(verified.code, 8, "{what}: {verified}");
        let json = run(&mut operate.sluice("ledger verify mc-api production --output json"));
        let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((json.code, &value["ok"]), (8, &false.into()), "{what}");
        assert!(!value["faults"].as_array().unwrap().is_empty());
        let exported = run(operate
            .sluice("ledger export mc-api production --file e")
            .current_dir(&folder));
        assert_eq!(exported.code, 8, "{what}: {exported}");
        assert_eq!(
            run(sluice("ledger verify --file e").current_dir(&folder)).code,
            8,
            "{what}"
        );
    }
}

/// The ledger grows between its pages, and between the two reads of one page.
#[test]
fn a_ledger_that_grows_meanwhile_is_whole() {
    let (entries, _) = chain(6, "sluice");
    let head = |seq: usize| Head {
        seq: seq as u64,
        hash: entries[seq - 1].hash.clone(),
    };
    let pages =
        [(0, 3, 4), (3, 3, 5), (3, 6, 6)].map(|(from, to, end)| (entries[from..to].to_vec(), head(end)));
    let operate = Operate::new(move |n, _| {
        let (entries, head) = pages[n].clone();
        Answer::Ledger { entries, head }.into()
    });
    let run = run(&mut operate.sluice("ledger verify mc-api production"));
    assert_eq!((run.code, operate.requests().len()), (0, 3), "{run}");
}

#[test]
fn an_export_that_breaks_off_leaves_nothing_and_an_older_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e"), "the older one").unwrap();
    let (entries, head) = chain(600, "sluice");
    let operate = Operate::new(move |n, _| match n {
        0 => Answer::Ledger {
            entries: entries[..500].to_vec(),
            head: head.clone(),
        }
        .into(),
        _ => Reply::refusal(RefusalKind::Denied, "Not any more.", None),
    });
    let run = run(operate
        .sluice("ledger export mc-api production --file e")
        .current_dir(&folder));
    assert_eq!(run.code, 4);
    assert_eq!(
        fs::read_to_string(folder.path().join("e")).unwrap(),
        "the older one"
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn what_programs_read_of_an_export_is_a_whole_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (entries, head) = chain(2, "sluice");
    let operate = serving(entries, head);
    let told = run(operate
        .sluice("ledger export mc-api production --file e --output json")
        .current_dir(&folder));
    let verified = run(sluice("ledger verify --file e --output json").current_dir(&folder));
    for run in [&told, &verified] {
        let value: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(
            (&value["ok"], &value["entries"], &value["service"]),
            (&true.into(), &2.into(), &"mc-api".into())
        );
    }
}
