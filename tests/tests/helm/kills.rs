//! Helm killed in each phase, and run again: it converges, with no manual repair.

use crate::delivery::assert_pods;
use crate::held::{
    Processes, assert_settled, hooked, newest, open_gate, processes, refused, revisions, signal, until_gone,
    until_held, until_hook,
};
use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use sluice_local::faults::{Action, Held, Rule};
use sluice_local::image::{Image, Pushed};
use sluice_tests::act::held;
use sluice_tests::outside::ledger;
use sluice_tests::seen::{PATIENCE, until_live};
use sluice_tests::service::Delivered;
use sluice_tests::{Person, World};

/// Rows at a time: two cores do not go through more any faster.
const AT_ONCE: usize = 3;

/// When it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Helm has looked, and written nothing.
    Before,
    /// The first revision is written, and nothing else.
    Install,
    /// The second revision is written, and nothing else.
    Upgrade,
    /// A hook runs.
    Hook,
    /// A hook of the way back runs.
    Rollback,
    /// Helm has ended, and nothing says so but the cluster.
    After,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Helm alone: it had too little memory.
    Helm,
    /// The function with helm: Lambda's machine failed.
    Lambda,
    /// The function; helm stands still, and goes on when everything is over.
    Zombie,
}

use Phase::{After, Before, Hook, Install, Rollback, Upgrade};
use Victim::{Helm, Lambda, Zombie};

const TABLE: [(Phase, Victim); 16] = [
    (Before, Helm),
    (Before, Lambda),
    (Before, Zombie),
    (Install, Helm),
    (Install, Lambda),
    (Install, Zombie),
    (Upgrade, Helm),
    (Upgrade, Lambda),
    (Upgrade, Zombie),
    (Hook, Helm),
    (Hook, Lambda),
    (Hook, Zombie),
    (Rollback, Helm),
    (Rollback, Lambda),
    (Rollback, Zombie),
    (After, Lambda),
];

/// What is caught in its phase.
enum Caught {
    /// A call of helm's waits in the proxy.
    Call(Held),
    /// A hook waits for its gate.
    Hook,
    /// The function is about to record the end.
    End(Held),
}

struct Row {
    phase: Phase,
    victim: Victim,
    service: Delivered,
    world: World,
    ana: Person,
}

impl Phase {
    /// The release that is delivered, or left, when helm is killed.
    fn release(self) -> u64 {
        if self == Install { 1 } else { 2 }
    }

    /// The release that is live in the end.
    fn live(self) -> u64 {
        if self == Rollback { 1 } else { self.release() }
    }

    /// The newest revision at the moment of the kill.
    fn newest(self) -> (u32, &'static str) {
        match self {
            Before => (1, "deployed"),
            Install => (1, "pending-install"),
            Upgrade | Hook => (2, "pending-upgrade"),
            Rollback => (3, "pending-rollback"),
            After => (2, "deployed"),
        }
    }

    /// How many revisions are healed.
    fn healed(self) -> usize {
        usize::from(!matches!(self, Before | After))
    }
}

impl Row {
    async fn new(world: &World, phase: Phase, victim: Victim) -> Result<Self> {
        let name = format!("hk-{phase:?}-{victim:?}").to_lowercase();
        let way_back: &[&str] = if phase == Rollback { &["pre-rollback"] } else { &[] };
        let service = Delivered::new(world, &name, &hooked("one", way_back)).await?;
        Ok(Self {
            phase,
            victim,
            service,
            world: world.clone(),
            ana: world.person("ana").await?,
        })
    }

    async fn push(&self, number: u64) -> Result<Pushed> {
        let image = Image::new(&format!("{} {number}", self.service.name));
        self.service.push(&image, &[&format!("{number:07x}")]).await
    }

    fn secrets(&self) -> Result<String> {
        let namespace = &self.service.place("dev")?.namespace;
        Ok(format!("/namespaces/{namespace}/secrets"))
    }

    /// Holds what the phase is caught at.
    async fn arm(&self) -> Result<Option<Rule>> {
        let place = self.service.place("dev")?;
        let write = Rule::kubernetes(&place.cluster, "POST", &self.secrets()?);
        let rule = match self.phase {
            Before => write.then(Action::HoldBefore),
            Install | Upgrade => write.then(Action::HoldAfter),
            // The first two store what helm would do, and take its fence.
            After => Rule::aws("dynamodb", "TransactWriteItems")
                .function("run-helm")
                .body(&self.service.name)
                .nth(3)
                .then(Action::HoldBefore),
            Hook | Rollback => return Ok(None),
        };
        self.world.local.faults().add(rule.clone()).await?;
        Ok(Some(rule))
    }

    /// Brings helm into the phase.
    async fn act(&self) -> Result<()> {
        let (service, ana) = (&self.service, &self.ana);
        match self.phase {
            Rollback => ana.run(&["rollback", &service.name, "dev"]).await.map(drop),
            _ => self.push(self.phase.release()).await.map(drop),
        }
    }

    async fn given(&self) -> Result<()> {
        if self.phase == Install {
            return Ok(());
        }
        self.service.deliver(&self.ana, 1).await?;
        let hooks: &[&str] = match self.phase {
            Hook => &["pre-upgrade"],
            _ => &[],
        };
        self.service.apply(&self.ana, &hooked("two", hooks)).await?;
        if self.phase == Rollback {
            self.service.deliver(&self.ana, 2).await?;
        }
        Ok(())
    }

    async fn catch(&self, rule: Option<&Rule>) -> Result<Caught> {
        Ok(match (self.phase, rule) {
            (After, Some(rule)) => Caught::End(held(&self.world, rule, &self.service.name).await?),
            (_, Some(_)) => Caught::Call(until_held(&self.world, &self.secrets()?).await?),
            (Rollback, None) => {
                until_hook(&self.service, "pre-rollback").await?;
                Caught::Hook
            }
            (_, None) => {
                until_hook(&self.service, "pre-upgrade").await?;
                Caught::Hook
            }
        })
    }

    async fn kill(&self, caught: &Caught) -> Result<Option<Processes>> {
        if let Caught::End(held) = caught {
            held.kill()?;
            return Ok(None);
        }
        let found = processes(&self.world, &self.service).await?;
        match self.victim {
            Helm => signal(found.helm, "KILL").await?,
            Lambda => {
                signal(found.function, "KILL").await?;
                signal(found.helm, "KILL").await?;
            }
            Zombie => {
                // In this order: a group that stands still when its parent ends is hung up by the kernel.
                signal(found.function, "KILL").await?;
                until_gone(found.function, PATIENCE).await?;
                signal(found.helm, "STOP").await?;
            }
        }
        Ok(Some(found))
    }

    async fn run(&self) -> Result<()> {
        // Given a helm in this phase
        self.given().await?;
        let rule = self.arm().await?;
        self.act().await?;
        let caught = self.catch(rule.as_ref()).await?;
        let (number, status) = newest(&self.service).await?;
        ensure!(
            (number, status.as_str()) == self.phase.newest(),
            "caught at {number} {status}"
        );
        // When it is killed
        let killed = self.kill(&caught).await?;
        if matches!(caught, Caught::Hook) {
            open_gate(&self.service).await?;
        }
        // Then whoever comes after it brings the release in
        self.converged().await?;
        if self.victim == Zombie {
            let zombie = killed.context("a zombie has a process")?;
            self.wake(&caught, zombie.helm).await?;
        }
        self.service.cleanup().await
    }

    async fn converged(&self) -> Result<()> {
        let (service, ana) = (&self.service, &self.ana);
        let live = until_live(ana, &service.name, "dev", self.phase.live()).await?;
        let digest = live
            .pointer("/live/digest")
            .and_then(|digest| digest.as_str())
            .context("what is live has a digest")?;
        assert_pods(&self.world, service, "dev", digest).await?;
        assert_settled(service).await?;
        ana.run(&["ledger", "verify", &service.name, "dev"]).await?;
        let told = ledger(ana, &service.name, "dev").await?;
        let healed = told
            .iter()
            .filter(|entry| entry.get("event").is_some_and(|event| event == "helm_healed"));
        let healed = healed.count();
        ensure!(
            healed == self.phase.healed(),
            "{healed} revisions were healed: {told:?}"
        );
        let failed = told
            .iter()
            .any(|entry| entry.get("event").is_some_and(|event| event == "restore_started"));
        ensure!(!failed, "the release was given up: {told:?}");
        Ok(())
    }

    /// The helm that stood still goes on, and everything that it writes is refused.
    async fn wake(&self, caught: &Caught, zombie: i32) -> Result<()> {
        let (left, before) = (
            revisions(&self.service).await?,
            refused(&self.world, &self.service)?,
        );
        if let Caught::Call(held) = caught {
            self.world.local.faults().release(held).await?;
        }
        signal(zombie, "CONT").await?;
        until_gone(zombie, PATIENCE).await?;
        let after = refused(&self.world, &self.service)?;
        ensure!(after > before, "nothing was refused to helm when it went on");
        let now = revisions(&self.service).await?;
        ensure!(now == left, "it was {left:?}, and is {now:?}");
        self.converged().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_killed_in_any_phase_is_made_up_for() -> Result<()> {
    let world = World::load().await?;
    // KILLS=hook runs the rows that have this in their name only.
    let only = std::env::var("KILLS").unwrap_or_default();
    let rows = TABLE
        .iter()
        .filter(|row| format!("{row:?}").to_lowercase().contains(&only));
    let mut runs = futures::stream::iter(rows.map(|(phase, victim)| {
        let world = &world;
        async move {
            let outcome = match Row::new(world, *phase, *victim).await {
                Ok(row) => row.run().await,
                Err(error) => Err(error),
            };
            (format!("{phase:?}, {victim:?}"), outcome)
        }
    }))
    .buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some((row, outcome)) = runs.next().await {
        match outcome {
            Ok(()) => println!("ok      {row}"),
            Err(error) => {
                println!("FAILED  {row}: {error:#}");
                failed.push(format!("{row}: {error:#}"));
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "{} rows failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    Ok(())
}
