//! What is done while a function is killed, and how it comes out.

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use sluice_local::faults::{Action, Rule};
use sluice_local::image::Image;
use sluice_tests::act::{held, sweep};
use sluice_tests::outside::{executions, stop};
use sluice_tests::seen::{PATIENCE, assert_runs, until_asked, until_live, until_written};
use sluice_tests::service::{Chart, Delivered, Options, Place};
use sluice_tests::wait::until;
use sluice_tests::{Person, Said, World};
use std::collections::BTreeSet;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The first release is pushed, and goes through two environments.
    First,
    /// The second release is pushed.
    Second,
    /// A release is pushed, people are asked, and say yes.
    Asked,
    /// A person says yes.
    Vote,
    /// A release is pushed where automatic promotion is held, and let through.
    Waits,
    /// Automatic promotion is let through again.
    Unheld,
    /// A release is pushed while another one is on its way.
    Behind,
    /// A release that was rolled back is wanted again.
    Wanted,
    /// The second release is rolled back.
    Back,
    /// The second release is rolled back while it is on its way.
    TakenOver,
    /// A release is pushed whose event is lost.
    Lost,
    /// A third release takes the place of the second, which waits behind the first.
    Supersedes,
    /// The release that people are asked about is quarantined; another one waits behind it.
    Barred,
    /// A release is quarantined while its gates are about to be looked at; another one waits behind it.
    AtTheGates,
    /// The turn of a release comes while it is about to sleep.
    TurnCame,
    /// A release is quarantined while people are about to be asked about it.
    Withdrawn,
    /// A new version of the pipeline is published, and a release pushed.
    Applied,
    /// Automatic promotion is held.
    Held,
    /// A person says no.
    Rejected,
    /// A person ends a promotion that waits.
    Aborted,
    /// A release is quarantined.
    Quarantined,
    /// A release that waited may go on, but the message that wakes it is lost.
    Slept,
    /// A promotion is stopped at the console after it has written the cluster.
    Gone,
    /// The second release is pushed, which helm delivers after a migration.
    Helm,
}

/// A service, and who acts on it.
pub struct Scene {
    pub delivered: Delivered,
    /// Where its first environment is.
    pub first: Place,
    ana: Person,
    world: World,
}

/// What came of acting, as far as whoever acted knows.
#[derive(Debug, Default)]
pub struct Acted {
    /// The answer of the command that may have been hit.
    said: Option<Said>,
}

impl Flow {
    fn options(self) -> Options {
        let environments = if self == Self::First { 2 } else { 1 };
        let approval = matches!(
            self,
            Self::Asked
                | Self::Vote
                | Self::TakenOver
                | Self::Barred
                | Self::TurnCame
                | Self::AtTheGates
                | Self::Withdrawn
                | Self::Rejected
                | Self::Aborted
        );
        let plain = Options {
            environments,
            approval,
            replicas: 1,
            ..Options::default()
        };
        if self != Self::Helm {
            return plain;
        }
        // None of the chart's hooks: what helm waits for is another test's.
        let events = ["install", "upgrade", "rollback", "delete"];
        let none = events.map(|event| format!("pre-{event}: null, post-{event}: null"));
        Options {
            helm: Some(Chart::own("hooks", &format!("hooks: {{{}}}\n", none.join(", ")))),
            environment: "before = [{ job = \"migrate.yaml\" }]\n".to_owned(),
            files: vec![("migrate.yaml".to_owned(), MIGRATION.to_owned())],
            ..plain
        }
    }

    /// The label `app` of the pods.
    fn app(self, name: &str) -> String {
        match self {
            Self::Helm => format!("{name}-api"),
            _ => name.to_owned(),
        }
    }

    /// The release that is live at the end.
    fn last(self) -> u64 {
        match self {
            Self::Supersedes => 3,
            Self::Second
            | Self::Behind
            | Self::Wanted
            | Self::Barred
            | Self::AtTheGates
            | Self::TurnCame
            | Self::Helm
            | Self::Applied => 2,
            _ => 1,
        }
    }

    /// How many releases there are at the end.
    fn releases(self) -> usize {
        match self {
            Self::Supersedes => 3,
            Self::First
            | Self::Asked
            | Self::Vote
            | Self::Waits
            | Self::Unheld
            | Self::Lost
            | Self::Held
            | Self::Quarantined
            | Self::Slept => 1,
            _ => 2,
        }
    }

    /// The state that it begins with.
    pub async fn given(self, world: &World, name: &str) -> Result<Scene> {
        let delivered = Delivered::new(world, name, &self.options()).await?;
        let first = delivered.place("dev")?.clone();
        let scene = Scene {
            delivered,
            first,
            ana: world.person("ana").await?,
            world: world.clone(),
        };
        match self {
            Self::First | Self::Asked | Self::Lost | Self::AtTheGates => {}
            Self::Second | Self::Applied | Self::Held | Self::Quarantined | Self::Gone | Self::Helm => {
                scene.live(1).await?
            }
            Self::Vote => {
                scene.push(1, None).await?;
                until_asked(&scene.ana, name, "dev", 1).await?;
            }
            Self::Waits | Self::Unheld | Self::Slept => {
                scene
                    .ana
                    .run(&["hold", name, "dev", "--reason", "a test"])
                    .await?;
                if self != Self::Waits {
                    scene.push(1, None).await?;
                    scene.until_asleep(1).await?;
                }
                if self == Self::Slept {
                    let lost = Rule::aws("states", "SendTaskSuccess")
                        .function("operate")
                        .times(0);
                    world.local.faults().add(lost.then(denied())).await?;
                    scene.ana.run(&["unhold", name, "dev"]).await?;
                }
            }
            Self::Back | Self::Wanted => {
                scene.live(1).await?;
                scene.live(2).await?;
                if self == Self::Wanted {
                    scene.ana.run(&["rollback", name, "dev"]).await?;
                    until_live(&scene.ana, name, "dev", 1).await?;
                }
            }
            Self::TurnCame => {
                scene.push(1, None).await?;
                until_asked(&scene.ana, name, "dev", 1).await?;
            }
            Self::Barred => {
                scene.push(1, None).await?;
                until_asked(&scene.ana, name, "dev", 1).await?;
                scene.push(2, None).await?;
                scene.until_asleep(2).await?;
            }
            Self::Withdrawn | Self::Rejected | Self::Aborted => {
                scene.push(1, None).await?;
                scene.approve(1).await?;
                until_live(&scene.ana, name, "dev", 1).await?;
                if self != Self::Withdrawn {
                    scene.push(2, None).await?;
                    until_asked(&scene.ana, name, "dev", 2).await?;
                    scene.until_asleep(2).await?;
                }
            }
            Self::Behind | Self::Supersedes => {
                scene.push(1, Some(("sluice.sim/ready-after", "12s"))).await?;
                scene.until_written(1).await?;
                scene.push(2, None).await?;
                scene.until_asleep(2).await?;
            }
            Self::TakenOver => {
                scene.push(1, None).await?;
                scene.approve(1).await?;
                until_live(&scene.ana, name, "dev", 1).await?;
                scene.push(2, Some(("sluice.sim/never-ready", "true"))).await?;
                scene.approve(2).await?;
                scene.until_written(2).await?;
            }
        }
        Ok(scene)
    }

    /// What somebody does, and what a function is killed at.
    pub async fn act(self, scene: &Scene) -> Result<Acted> {
        let name = scene.delivered.name.as_str();
        let said = match self {
            Self::First => return scene.pushed(1).await,
            Self::Second | Self::Helm => return scene.pushed(2).await,
            Self::Behind => return Ok(Acted::default()),
            Self::Asked => {
                scene.push(1, None).await?;
                return scene.approve(1).await.map(|()| Acted::default());
            }
            Self::Waits => {
                scene.push(1, None).await?;
                scene.until_asleep(1).await?;
                scene.ana.run(&["unhold", name, "dev"]).await?;
                return Ok(Acted::default());
            }
            Self::Lost => {
                scene.lose(1).await?;
                // One sweep at least is killed, this one or the schedule's.
                let _ = sweep(&scene.world).await;
                return Ok(Acted::default());
            }
            Self::Slept => {
                let _ = sweep(&scene.world).await; // as above
                return Ok(Acted::default());
            }
            Self::Gone => {
                scene.push(2, Some(("sluice.sim/never-ready", "true"))).await?;
                scene.until_written(2).await?;
                stop(&scene.world, "promotion", &format!("{name}-2-dev-1")).await?;
                let _ = sweep(&scene.world).await; // as above, or the one that hears of the end
                return Ok(Acted::default());
            }
            Self::Supersedes => return scene.pushed(3).await,
            Self::Barred => {
                scene.quarantine(1).await?;
                scene.approve(2).await?;
                return Ok(Acted::default());
            }
            Self::AtTheGates => {
                let look = Rule::aws("dynamodb", "GetItem")
                    .function("check-gates")
                    .body(name);
                let look = scene.hold_back(look).await?;
                scene.push(1, None).await?;
                let look = held(&scene.world, &look, name).await?;
                scene.push(2, None).await?;
                scene.until_asleep(2).await?;
                scene.quarantine(1).await?;
                scene.world.local.faults().release(&look).await?;
                scene.approve(2).await?;
                return Ok(Acted::default());
            }
            Self::TurnCame => {
                let store = Rule::aws("dynamodb", "TransactWriteItems")
                    .function("await-turn")
                    .body(name);
                let store = scene.hold_back(store).await?;
                scene.push(2, None).await?;
                let store = held(&scene.world, &store, name).await?;
                scene.ana.run(&["abort", name, "dev", "1"]).await?;
                scene.world.local.faults().release(&store).await?;
                scene.approve(2).await?;
                return Ok(Acted::default());
            }
            Self::Withdrawn => {
                let store = Rule::aws("dynamodb", "TransactWriteItems")
                    .function("request-approval")
                    .body(name);
                let store = scene.hold_back(store).await?;
                scene.push(2, None).await?;
                let store = held(&scene.world, &store, name).await?;
                scene.quarantine(2).await?;
                scene.world.local.faults().release(&store).await?;
                return Ok(Acted::default());
            }
            Self::Applied => scene.delivered.publish(&scene.ana, &self.published()).await?,
            _ => scene.ana.sluice(&self.command(name)).await?,
        };
        Ok(Acted { said: Some(said) })
    }

    /// The command that may be hit.
    fn command(self, name: &str) -> Vec<&str> {
        match self {
            Self::Vote => vec!["approve", name, "dev", "1"],
            Self::Unheld => vec!["unhold", name, "dev"],
            Self::Wanted => vec!["promote", name, "dev", "2"],
            Self::Held => vec!["hold", name, "dev", "--reason", "a test"],
            Self::Rejected => vec!["reject", name, "dev", "2", "--reason", "a test"],
            Self::Aborted => vec!["abort", name, "dev", "2"],
            Self::Quarantined => vec!["quarantine", name, "1", "--reason", "a test"],
            _ => vec!["rollback", name, "dev"],
        }
    }

    /// Whether it takes the sweep to put it right; everything else comes out without it.
    pub fn needs_sweep(self) -> bool {
        matches!(
            self,
            Self::Wanted | Self::Lost | Self::Supersedes | Self::Aborted | Self::Slept | Self::Gone
        )
    }

    /// The version of the pipeline that is published while somebody is killed.
    fn published(self) -> Options {
        Options {
            config: "two".to_owned(),
            ..self.options()
        }
    }

    /// Whoever had no answer does the same again. Step Functions, and Lambda for events, do so by themselves.
    pub async fn again(self, scene: &Scene, acted: Acted) -> Result<()> {
        if matches!(self, Self::Lost | Self::Supersedes | Self::Slept | Self::Gone) {
            return sweep(&scene.world).await.map(|_| ());
        }
        let Some(first) = acted.said else { return Ok(()) };
        ensure!(
            first.status != 0,
            "a function was killed, and the command says that all is well: {first:?}"
        );
        if self == Self::Applied {
            scene.delivered.apply(&scene.ana, &self.published()).await?;
            return scene.push(2, None).await;
        }
        let second = scene.ana.sluice(&self.command(&scene.delivered.name)).await?;
        if self == Self::Wanted && second.status == 5 {
            // It is wanted already: the sweep starts what was wanted.
            ensure!(second.err.contains("already"), "{second:?}");
            // It fails for those services that it is kept away from.
            let _ = sweep(&scene.world).await;
            return Ok(());
        }
        if self == Self::Aborted && second.status == 5 {
            // It is over already: the sweep wakes its execution, so that it ends.
            ensure!(second.err.contains("abort"), "{second:?}");
            return sweep(&scene.world).await.map(|_| ());
        }
        ensure!(second.status == 0, "typed again: {second:?}");
        Ok(())
    }

    /// Live, with every pod on the digest; nothing is recorded twice, and the ledger is whole.
    pub async fn converged(self, scene: &Scene) -> Result<()> {
        let name = scene.delivered.name.as_str();
        for place in &scene.delivered.places {
            let live = until_live(&scene.ana, name, &place.environment, self.last()).await?;
            let digest = live
                .pointer("/live/digest")
                .and_then(Value::as_str)
                .context("what is live has a digest")?;
            ensure!(
                digest == scene.digest(self.last()).await?,
                "not the digest that was pushed: {live}"
            );
            let app = self.app(name);
            assert_runs(&scene.world, &place.cluster, &place.namespace, &app, digest).await?;
            scene
                .ana
                .run(&["ledger", "verify", name, &place.environment])
                .await?;
            scene.assert_nothing_twice(&place.environment).await?;
            let verified = scene.verified(&place.environment, self.last()).await?;
            ensure!(
                verified == 1,
                "{verified} promotions of {} were completed, not 1",
                self.last()
            );
        }
        let history = scene.ana.json(&["history", name]).await?;
        let found = history.get("releases").and_then(Value::as_array).map(Vec::len);
        ensure!(
            found == Some(self.releases()),
            "not {} releases: {history}",
            self.releases()
        );
        scene.until_nothing_sleeps().await
    }
}

const MIGRATION: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\n\
     spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: migrate, args: [migrate]}]}}}\n";

/// What DynamoDB answers to somebody who may not.
fn denied() -> Action {
    let body = r#"{"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException", "message": "a test"}"#;
    Action::Error {
        status: 400,
        body: body.to_owned(),
    }
}

impl Scene {
    /// Keeps the sweep away from this service: it cannot read its row.
    pub async fn without_sweep(&self) -> Result<()> {
        let rule = Rule::aws("dynamodb", "GetItem")
            .function("sweep")
            .body(&self.delivered.name);
        self.world.local.faults().add(rule.times(0).then(denied())).await
    }

    /// Adds a rule that holds a call back until it is released.
    async fn hold_back(&self, rule: Rule) -> Result<Rule> {
        let rule = rule.then(Action::HoldBefore);
        self.world.local.faults().add(rule.clone()).await?;
        Ok(rule)
    }

    async fn quarantine(&self, number: u64) -> Result<()> {
        let number = number.to_string();
        self.ana
            .run(&["quarantine", &self.delivered.name, &number, "--reason", "a test"])
            .await
            .map(|_| ())
    }

    /// Waits until every promotion's execution has ended: none sleeps for good because nobody woke it.
    async fn until_nothing_sleeps(&self) -> Result<()> {
        let prefix = format!("{}-", self.delivered.name);
        until(
            &format!("the end of all executions of {prefix}"),
            PATIENCE,
            || async {
                let mut found = executions(&self.world, "promotion", &prefix).await?;
                ensure!(!found.is_empty(), "{prefix} has no executions");
                found.retain(|(_, status)| status == "RUNNING");
                Ok(if found.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{found:?}"))
                })
            },
        )
        .await
    }

    fn image(&self, number: u64) -> Image {
        Image::new(&format!("{} {number}", self.delivered.name))
    }

    async fn push(&self, number: u64, label: Option<(&str, &str)>) -> Result<()> {
        let image = self.image(number);
        let image = label.map_or(image.clone(), |(name, value)| image.label(name, value));
        let tag = format!("{number:07}");
        self.delivered.push(&image, &[&tag]).await.map(|_| ())
    }

    async fn pushed(&self, number: u64) -> Result<Acted> {
        self.push(number, None).await.map(|()| Acted::default())
    }

    async fn live(&self, number: u64) -> Result<()> {
        self.push(number, None).await?;
        until_live(&self.ana, &self.delivered.name, "dev", number)
            .await
            .map(|_| ())
    }

    async fn approve(&self, number: u64) -> Result<()> {
        until_asked(&self.ana, &self.delivered.name, "dev", number).await?;
        self.ana
            .run(&["approve", &self.delivered.name, "dev", &number.to_string()])
            .await
            .map(|_| ())
    }

    /// The digest of a release's tag, as ECR has it.
    async fn digest(&self, number: u64) -> Result<String> {
        let tag = aws_sdk_ecr::types::ImageIdentifier::builder()
            .image_tag(format!("{number:07}"))
            .build();
        let ecr = aws_sdk_ecr::Client::new(&self.world.config);
        let found = ecr
            .describe_images()
            .repository_name(&self.delivered.name)
            .image_ids(tag)
            .send()
            .await?;
        let image = found.image_details().first().context("the image is in ECR")?;
        Ok(image.image_digest().context("it has a digest")?.to_owned())
    }

    /// Waits until the promotion of a release sleeps: its row has the token that wakes it.
    async fn until_asleep(&self, number: u64) -> Result<()> {
        let table = self.world.local.sluice()?.table.clone();
        let client = aws_sdk_dynamodb::Client::new(&self.world.config);
        let partition = format!("SERVICE#{}#PROMOTIONS#dev", self.delivered.name);
        until(
            &format!("sleep of {}#{number}", self.delivered.name),
            PATIENCE,
            || async {
                let get = client.get_item().table_name(&table).consistent_read(true);
                let get = get.key("pk", AttributeValue::S(partition.clone()));
                let found = get
                    .key("sk", AttributeValue::S(format!("{number:08}#0001")))
                    .send()
                    .await?
                    .item;
                let asleep = found
                    .as_ref()
                    .and_then(|item| item.get("wake"))
                    .is_some_and(|wake| !wake.is_null());
                Ok(if asleep { Ok(()) } else { Err(format!("{found:?}")) })
            },
        )
        .await
    }

    /// Waits until the cluster has pods of a release.
    async fn until_written(&self, number: u64) -> Result<()> {
        let digest = self.digest(number).await?;
        until_written(&self.world, &self.first, &self.delivered.name, &digest).await
    }

    /// Pushes, and lets every try of Lambda to deliver the event fail.
    async fn lose(&self, number: u64) -> Result<()> {
        let faults = self.world.local.faults();
        let error = denied();
        let rule = Rule::aws("dynamodb", "Query")
            .function("receive-push")
            .body(&self.delivered.name);
        faults.add(rule.times(0).then(error.clone())).await?;
        self.push(number, None).await?;
        until("the loss of an event", PATIENCE, || async {
            let tries = faults
                .fired()
                .await?
                .into_iter()
                .filter(|fired| fired.action == error)
                .count();
            Ok(if tries >= 3 {
                Ok(())
            } else {
                Err(format!("{tries} tries"))
            })
        })
        .await
    }

    /// Every entry of the ledger tells of something else.
    async fn assert_nothing_twice(&self, name: &str) -> Result<()> {
        let text = self
            .ana
            .run(&["ledger", "export", &self.delivered.name, name])
            .await?;
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line)?;
            let Some(event) = entry.get("event") else { continue };
            let of = |key: &str| entry.get(key).cloned().unwrap_or_default().to_string();
            let version = (event == "pipeline_applied").then(|| of("reason"));
            let told = (
                event.to_string(),
                of("execution"),
                of("release"),
                of("by"),
                version,
            );
            ensure!(seen.insert(told), "{event} is there twice: {text}");
        }
        ensure!(!seen.is_empty(), "there is nothing in the ledger: {text}");
        Ok(())
    }

    /// How many promotions of a release into an environment were completed.
    async fn verified(&self, name: &str, release: u64) -> Result<usize> {
        let history = self.ana.json(&["history", &self.delivered.name]).await?;
        let releases = history
            .get("releases")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mine = releases
            .iter()
            .find(|one| one.get("number").and_then(Value::as_u64) == Some(release));
        let promotions = mine
            .and_then(|mine| mine.get("promotions")?.as_array())
            .cloned()
            .unwrap_or_default();
        let completed = promotions.iter().filter(|promotion| {
            let is = |key: &str, value: &str| promotion.get(key).is_some_and(|found| found == value);
            is("environment", name) && is("state", "verified")
        });
        Ok(completed.count())
    }
}
