//! However an environment ends, nothing of it stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sluice_local::places;

const LIMIT: Duration = Duration::from_secs(120);

/// Two environments that start at once are slow, and these tests show nothing by it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(command: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sluice-local"))
        .args(["run", "--without-sluice", "--"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn folder(child: &Child) -> PathBuf {
    places::project().join(format!("target/local-run-{}", child.id()))
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every process that descends from this one, by (id, start time): ids are used again.
fn descendants(of: u32) -> HashSet<(u32, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        if let Some((parent, started)) = stat(pid) {
            all.push((pid, parent, started));
        }
    }
    let mut found = HashSet::from([of]);
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, parent, _)| found.contains(parent) && !found.contains(pid))
            .map(|p| p.0)
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    all.into_iter()
        .filter(|(pid, ..)| *pid != of && found.contains(pid))
        .map(|(pid, _, started)| (pid, started))
        .collect()
}

/// Parent and start time, proc_pid_stat(5); none when it has ended or waits to be reaped.
fn stat(pid: u32) -> Option<(u32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] != "Z").then(|| (fields[1].parse().unwrap(), fields[19].to_owned()))
}

fn all_gone(processes: &HashSet<(u32, String)>) -> bool {
    processes
        .iter()
        .all(|(pid, started)| stat(*pid).is_none_or(|(_, now)| now != *started))
}

fn is_up(dir: &Path) -> bool {
    dir.join("environment.json").exists()
}

#[test]
fn run_exits_with_the_commands_status_and_leaves_nothing() {
    let _turn = turn();
    let child = run(&[
        "sh",
        "-c",
        "test -s $SLUICE_LOCAL_ENVIRONMENT && echo found && exit 7",
    ]);
    let dir = folder(&child);
    let done = child.wait_with_output().unwrap();
    assert_eq!(
        (done.status.code(), String::from_utf8_lossy(&done.stdout).trim()),
        (Some(7), "found")
    );
    assert!(!dir.exists());
    fs::remove_dir_all(sluice_local::supervisor::logs(&dir)).expect("a failed run keeps its logs");
}

#[test]
fn interrupted_or_terminated_it_ends_all_of_it() {
    let _turn = turn();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut child = run(&["sleep", "1000"]);
        let dir = folder(&child);
        wait_until("up", || is_up(&dir));
        let processes = descendants(child.id());
        assert!(processes.len() >= 8, "{processes:?}");
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(
            child.wait().unwrap().code(),
            Some(128 + signal as i32),
            "the command died of {signal}"
        );
        assert!(all_gone(&processes));
        assert!(!dir.exists());
        fs::remove_dir_all(sluice_local::supervisor::logs(&dir)).unwrap();
    }
}

#[test]
fn killed_it_takes_every_process_with_it() {
    let _turn = turn();
    let mut child = run(&["sleep", "1000"]);
    let dir = folder(&child);
    wait_until("up", || is_up(&dir));
    let processes = descendants(child.id());
    assert!(processes.len() >= 8, "{processes:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("all gone", || all_gone(&processes));
    assert!(dir.exists(), "nobody was left to remove it");
    sluice_local::supervisor::sweep(&places::project().join("target")).unwrap();
    assert!(!dir.exists());
}

#[test]
fn ended_while_it_starts_it_leaves_nothing() {
    let _turn = turn();
    let mut child = run(&["true"]);
    let dir = folder(&child);
    wait_until("starting", || dir.join("logs/etcd.log").exists());
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(!child.wait().unwrap().success());
    wait_until("all gone", || descendants(child.id()).is_empty());
    assert!(!dir.exists());
    fs::remove_dir_all(sluice_local::supervisor::logs(&dir)).unwrap();
}
