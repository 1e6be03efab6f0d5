//! Every writing call of every function, and its process killed there: once before the call is sent on, once after it
//! took effect and before the answer. Whoever called calls again, and everything comes out as if nothing had happened.

mod flow;

use anyhow::{Context, Result, ensure};
use flow::{Flow, Scene};
use futures::StreamExt;
use sluice_local::faults::{Action, Rule};
use sluice_tests::World;
use sluice_tests::act::held;
use std::collections::BTreeSet;

/// Rows at a time: two cores do not go through more any faster.
const AT_ONCE: usize = 3;

/// A call that changes something outside of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// The nth TransactWriteItems for the service.
    Record(u32),
    /// PutItem of a blob. It does not say whose it is.
    Store(u32),
    /// StartExecution of an execution whose name has this in it.
    Start(&'static str),
    /// SendTaskSuccess. It does not say whose it is.
    Wake,
    /// SendTaskFailure. It does not say whose it is.
    Preempt,
    /// Invoke of another function. It does not say whose it is.
    Invoke(&'static str),
    /// POST to this collection of the environment's namespace.
    Create(&'static str),
    /// PATCH of an object in this collection.
    Patch(&'static str),
}

use Write::{Create, Invoke, Patch, Preempt, Record, Start, Store, Wake};

/// What is done, and which call of which function is hit while it is done.
const TABLE: [(Flow, &str, Write); 53] = [
    (Flow::First, "receive-push", Record(1)),
    (Flow::First, "receive-push", Start("-1-dev-1")),
    (Flow::First, "take-lease", Record(1)),
    (Flow::First, "advance-rollout", Store(1)),
    (Flow::First, "advance-rollout", Record(1)),
    (Flow::First, "advance-rollout", Create("configmaps")),
    (Flow::First, "advance-rollout", Create("deployments")),
    (Flow::First, "advance-rollout", Store(2)),
    (Flow::First, "advance-rollout", Record(2)),
    (Flow::First, "complete-rollout", Record(1)),
    (Flow::First, "complete-rollout", Start("-1-staging-1")),
    (Flow::Second, "advance-rollout", Patch("deployments")),
    (Flow::Asked, "request-approval", Record(1)),
    (Flow::Vote, "operate", Record(1)),
    (Flow::Vote, "operate", Wake),
    (Flow::Waits, "check-gates", Record(1)),
    (Flow::Waits, "await-turn", Record(1)),
    (Flow::Unheld, "operate", Record(1)),
    (Flow::Behind, "complete-rollout", Wake),
    (Flow::Wanted, "operate", Record(1)),
    (Flow::Wanted, "operate", Start("-2-dev-2")),
    (Flow::Back, "operate", Record(1)),
    (Flow::Back, "roll-back", Record(1)),
    (Flow::Back, "roll-back", Patch("deployments")),
    (Flow::Back, "roll-back", Start("-dev-r")),
    (Flow::TakenOver, "roll-back", Preempt),
    (Flow::Lost, "sweep", Record(1)),
    (Flow::Supersedes, "receive-push", Wake),
    (Flow::AtTheGates, "check-gates", Record(1)),
    (Flow::AtTheGates, "check-gates", Wake),
    (Flow::Barred, "take-lease", Wake),
    (Flow::TurnCame, "await-turn", Wake),
    (Flow::Withdrawn, "request-approval", Wake),
    (Flow::Applied, "operate", Store(1)),
    (Flow::Applied, "operate", Record(1)),
    (Flow::Held, "operate", Record(1)),
    (Flow::Rejected, "operate", Record(1)),
    (Flow::Rejected, "operate", Wake),
    (Flow::Aborted, "operate", Record(1)),
    (Flow::Aborted, "operate", Wake),
    (Flow::Quarantined, "operate", Record(1)),
    (Flow::Back, "operate", Invoke("roll-back")),
    (Flow::Lost, "sweep", Start("-1-dev-1")),
    (Flow::Slept, "sweep", Wake),
    (Flow::Gone, "sweep", Invoke("roll-back")),
    (Flow::Helm, "run-helm", Store(1)),
    (Flow::Helm, "run-helm", Record(1)),
    (Flow::Helm, "run-helm", Record(2)),
    (Flow::Helm, "run-helm", Patch("configmaps")),
    (Flow::Helm, "run-helm", Record(3)),
    (Flow::Helm, "run-check", Create("jobs")),
    (Flow::Helm, "run-check", Store(1)),
    (Flow::Helm, "run-check", Record(1)),
];

struct Row {
    number: usize,
    flow: Flow,
    function: &'static str,
    write: Write,
    after: bool,
}

impl Row {
    fn service(&self) -> String {
        format!("kill-{:03}", self.number)
    }

    /// Nothing in the call tells whose it is, so nobody else may make one like it meanwhile.
    fn is_alone(&self) -> bool {
        matches!(self.write, Store(_) | Wake | Preempt | Invoke(_)) || self.function == "sweep"
    }

    fn rule(&self, scene: &Scene) -> Rule {
        let service = &scene.delivered.name;
        let kubernetes = |method: &str, collection: &str| {
            let place = &scene.first;
            Rule::kubernetes(
                &place.cluster,
                method,
                &format!("/namespaces/{}/{collection}", place.namespace),
            )
        };
        let rule = match self.write {
            Record(nth) => Rule::aws("dynamodb", "TransactWriteItems").body(service).nth(nth),
            Store(nth) => Rule::aws("dynamodb", "PutItem").body("BLOB#").nth(nth),
            Start(name) => Rule::aws("states", "StartExecution").body(&format!("{service}{name}")),
            Wake => Rule::aws("states", "SendTaskSuccess"),
            Preempt => Rule::aws("states", "SendTaskFailure"),
            Invoke(function) => {
                let path = format!("/2015-03-31/functions/sluice-{function}/invocations");
                Rule::aws("lambda", &format!("POST {path}"))
            }
            Create(collection) => kubernetes("POST", collection),
            Patch(collection) => kubernetes("PATCH", collection),
        };
        rule.function(self.function).then(if self.after {
            Action::HoldAfter
        } else {
            Action::HoldBefore
        })
    }

    fn name(&self) -> String {
        let when = if self.after { "after" } else { "before" };
        format!(
            "{} {:?}: {} killed {when} {:?}",
            self.service(),
            self.flow,
            self.function,
            self.write
        )
    }

    async fn run(&self, world: &World) -> Result<()> {
        // Given a service in the state that the flow begins with
        let scene = self.flow.given(world, &self.service()).await?;
        if !self.flow.needs_sweep() {
            scene.without_sweep().await?;
        }
        // When somebody acts, and the function is killed at its call
        let rule = self.rule(&scene);
        world.local.faults().add(rule.clone()).await?;
        let (acted, killed) = tokio::join!(self.flow.act(&scene), self.kill(world, &rule));
        killed?;
        let acted = acted?;
        // and who called, and got no answer, calls again
        self.flow.again(&scene, acted).await?;
        // Then it comes out as if nothing had happened
        self.flow.converged(&scene).await?;
        scene.delivered.cleanup().await
    }

    /// Waits until the call is held, kills who made it, and makes sure that it was this call, and no more than this.
    async fn kill(&self, world: &World, rule: &Rule) -> Result<()> {
        let held = held(world, rule, &self.service()).await?;
        ensure!(held.after == self.after, "{held:?}");
        // A promotion that is rolling does not sleep: whoever wakes it up is told that nobody waits on the token.
        if self.after && self.write != Preempt {
            let status = held.status.context("an answer that waits has a status")?;
            ensure!((200..300).contains(&status), "the call had no effect: {held:?}");
        }
        held.kill()?;
        let fired = world.local.faults().fired().await?;
        let mine = fired
            .iter()
            .filter(|fired| fired.call.pid == held.call.pid && fired.action == rule.action)
            .filter(|fired| fired.call.operation == held.call.operation);
        ensure!(mine.count() == 1, "the fault did not fire once: {fired:?}");
        Ok(())
    }
}

fn rows() -> Vec<Row> {
    // KILLS=3,4 runs these rows only.
    let only: Option<BTreeSet<usize>> = std::env::var("KILLS")
        .ok()
        .map(|text| text.split(',').filter_map(|number| number.parse().ok()).collect());
    let both = TABLE.iter().flat_map(|row| [(row, false), (row, true)]);
    let rows = both
        .enumerate()
        .map(|(number, ((flow, function, write), after))| Row {
            number,
            flow: *flow,
            function,
            write: *write,
            after,
        });
    rows.filter(|row| only.as_ref().is_none_or(|only| only.contains(&row.number)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_at_a_write_is_made_up_for() -> Result<()> {
    let world = World::load().await?;
    let faults = world.local.faults();
    faults.clear().await?;
    let (alone, together): (Vec<Row>, Vec<Row>) = rows().into_iter().partition(Row::is_alone);
    let mut failed = Vec::new();
    let mut told = |row: &Row, outcome: Result<()>| match outcome {
        Ok(()) => println!("ok      {}", row.name()),
        Err(error) => {
            println!("FAILED  {}: {error}", row.name());
            failed.push(format!("{}: {error:#}", row.name()));
        }
    };
    let mut runs = futures::stream::iter(together.iter().map(|row| {
        let world = &world;
        async move { (row, row.run(world).await) }
    }))
    .buffer_unordered(AT_ONCE);
    while let Some((row, outcome)) = runs.next().await {
        told(row, outcome);
    }
    drop(runs);
    faults.clear().await?;
    for row in &alone {
        let outcome = row.run(&world).await;
        told(row, outcome);
        faults.clear().await?; // what keeps the sweep from this service
    }
    ensure!(
        failed.is_empty(),
        "{} rows failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    Ok(())
}
