//! Somebody else's helm is at work on the release: it is waited for, and the environment's row says so.

use crate::handler::{Held, Tools};
use sluice_domain::environment::Environment;
use sluice_domain::rollout::await_others;
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::{Failure, now};
use sluice_table::Transaction;
use sluice_transitions::racing;
use std::time::{Duration, Instant};

/// How often is looked.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How long one invocation waits: as long as one watch of pods. AdvanceRollout then looks at the rollout's own time.
const AT_MOST: Duration = Duration::from_secs(60);

/// Waits for others, for one invocation.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    tools: &'a Tools,
    held: &'a Held,
    since: Instant,
}

impl<'a> Turn<'a> {
    /// Begins to wait.
    pub(crate) fn new(tools: &'a Tools, held: &'a Held) -> Self {
        let since = Instant::now();
        Self { tools, held, since }
    }

    /// Records what is waited for, and sleeps for a moment; the answer where this invocation has waited long enough.
    /// `mine` fails where the environment is not this run's any more.
    pub(crate) async fn wait(
        &self,
        why: &str,
        mine: impl Fn(&Environment) -> Result<(), Failure>,
    ) -> Result<Option<Next>, Failure> {
        self.say(why, mine).await?;
        let is_late = now() >= self.held.rollout.deadline;
        if is_late || self.since.elapsed() >= AT_MOST {
            return Ok(Some(Next::now(NextState::Helm, why)));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        Ok(None)
    }

    async fn say(
        &self,
        why: &str,
        mine: impl Fn(&Environment) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (service, name) = (&self.held.environment.service, &self.held.environment.name);
        let table = &self.tools.backends.table;
        racing(|| async {
            let mut environment = table.environment(service, name).await?;
            mine(&environment)?;
            if !await_others(&mut environment, Some(why)) {
                return Ok(());
            }
            let mut transaction = Transaction::new();
            transaction.update(&environment);
            Ok(transaction.commit(table).await?)
        })
        .await
    }
}
