//! What functions were granted is what they used, no more and no less. The last file by name, as it reads what the local
//! AWS recorded while the other tests of this environment ran: alone, in a fresh environment, it says what it misses.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_tests::World;
use sluice_tests::world::root;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

type Actions = BTreeMap<String, BTreeSet<String>>;

/// What the template grants each function, by its crate.
fn granted(world: &World) -> Result<Actions> {
    let python = world.local.sam_bin.join("python");
    let checks = root().join("infra/checks/template.py");
    let output = Command::new(python)
        .arg(checks)
        .arg("--granted")
        .output()
        .context("running infra/checks/template.py")?;
    ensure!(
        output.status.success(),
        "template.py --granted: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("template.py --granted prints JSON")
}

/// One checked permission of a function's role.
struct Checked {
    function: String,
    action: String,
    resource: String,
    allowed: bool,
}

/// Every permission of a function's role that was checked in this environment.
fn checked(world: &World) -> Result<Vec<Checked>> {
    let roles = &world.local.sluice()?.function_roles;
    let names: BTreeMap<&str, &str> = roles
        .iter()
        .filter_map(|(function, role)| Some((role.rsplit('/').next()?, function.as_str())))
        .collect();
    let log =
        std::fs::read_to_string(&world.local.permissions_log).context("reading the record of permissions")?;
    let mut found = Vec::new();
    // The last line may be half written.
    for line in log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let text = |key: &str| {
            line.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let principal = text("principal");
        let role = principal
            .split_once(":assumed-role/")
            .and_then(|(_, rest)| rest.split('/').next());
        let Some(function) = role.and_then(|role| names.get(role)) else {
            continue;
        };
        let allowed = line
            .get("allowed")
            .and_then(Value::as_bool)
            .context("an entry says whether it was allowed")?;
        found.push(Checked {
            function: (*function).to_owned(),
            action: text("action"),
            resource: text("resource"),
            allowed,
        });
    }
    Ok(found)
}

/// What cannot be recorded here, as `docs/permissions.md` says: actions, or `service:*`.
fn never_asked_for() -> Result<Vec<String>> {
    let page = std::fs::read_to_string(root().join("docs/permissions.md"))?;
    let row = page.lines().find(|line| line.contains("| never asked for |"));
    let cell = row
        .and_then(|row| row.split('|').nth(1))
        .context("docs/permissions.md has no row `never asked for`")?;
    let assume = page
        .lines()
        .find(|line| line.starts_with("- `sts:AssumeRole` exists only where"));
    ensure!(
        assume.is_some(),
        "docs/permissions.md does not say when `sts:AssumeRole` is granted"
    );
    let named = cell.split('`').skip(1).step_by(2).chain(["sts:AssumeRole"]);
    Ok(named.map(str::to_owned).collect())
}

fn is_named(patterns: &[String], action: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(service) => action.starts_with(service),
        None => action == pattern,
    })
}

/// Secrets and functions that tests make under names that the template's parameters do not let in.
const KEPT: [&str; 2] = [":secret:elsewhere/", ":function:other-"];

#[tokio::test]
async fn no_function_was_refused_anything_but_what_a_test_keeps_from_it() -> Result<()> {
    // Given what the functions did in this environment
    let checked = checked(&World::load().await?)?;
    // Then none of them was refused by IAM, but where a test asks for what nobody was granted
    let kept = |resource: &str| KEPT.iter().any(|part| resource.contains(part));
    let refused: BTreeSet<String> = checked
        .iter()
        .filter(|checked| !checked.allowed && !kept(&checked.resource))
        .map(
            |Checked {
                 function,
                 action,
                 resource,
                 ..
             }| format!("{function}: {action} on {resource}"),
        )
        .collect();
    ensure!(
        refused.is_empty(),
        "refused:\n{}",
        refused.into_iter().collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

#[tokio::test]
async fn every_function_used_what_it_was_granted_and_nothing_else() -> Result<()> {
    // Given what the functions are granted, and what they did while the other tests ran
    let world = World::load().await?;
    let (granted, never) = (granted(&world)?, never_asked_for()?);
    let mut used = Actions::new();
    for Checked { function, action, .. } in checked(&world)? {
        used.entry(function).or_default().insert(action);
    }
    // Then the two are the same, but for what cannot be seen here
    let mut faults = Vec::new();
    for (function, granted) in &granted {
        let used = used.get(function).cloned().unwrap_or_default();
        let unused = granted
            .difference(&used)
            .filter(|action| !is_named(&never, action));
        faults.extend(unused.map(|action| format!("{function} may {action}, and no test made it do so")));
        faults.extend(
            used.difference(granted)
                .map(|action| format!("{function} does {action}, which it is not granted")),
        );
    }
    ensure!(!granted.is_empty(), "nothing is granted to anybody");
    ensure!(
        faults.is_empty(),
        "run this in the environment of all other tests:\n{}",
        faults.join("\n")
    );
    Ok(())
}
