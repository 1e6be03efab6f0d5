//! The door: who may, what is refused and why, and what the same command given twice does.

#![allow(clippy::indexing_slicing)]

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::outside::{ended, invoke, ledger};
use sluice_tests::seen::{environment, until_asked, until_live, until_state};
use sluice_tests::service::{Delivered, Options};

/// Exit statuses of `sluice`, as its help lists them.
const DENIED: i32 = 4;
const REFUSED: i32 = 5;
const NOT_FOUND: i32 = 6;

fn asks() -> Options {
    Options {
        approval: true,
        ..Options::default()
    }
}

/// Who caused each entry of this event in dev's ledger.
async fn recorded(ana: &sluice_tests::Person, service: &str, event: &str) -> Result<Vec<String>> {
    let entries = ledger(ana, service, "dev").await?;
    let ours = entries.iter().filter(|entry| entry["event"] == event);
    Ok(ours
        .filter_map(|entry| entry["by"].as_str().map(str::to_owned))
        .collect())
}

#[tokio::test]
async fn a_vote_counts_once_and_a_no_lets_the_next_one_in() -> Result<()> {
    // Given a release that waits for Ana or Ben, and one behind it
    let world = World::load().await?;
    let (ana, ben) = (world.person("ana").await?, world.person("ben").await?);
    let service = Delivered::new(&world, "t-vote", &asks()).await?;
    let name = service.name.as_str();
    service.push(&Image::new("vote 1"), &["1111111"]).await?;
    until_asked(&ana, name, "dev", 1).await?;
    service.push(&Image::new("vote 2"), &["2222222"]).await?;
    until_state(&ana, name, "dev", 2, "wanted").await?;
    // When Ben says no, and says it again
    ben.run(&["reject", name, "dev", "1", "--reason", "not today"])
        .await?;
    let rejected = until_state(&ana, name, "dev", 1, "rejected").await?;
    ensure!(rejected["reason"] == "rejected by ben: not today", "{rejected}");
    ben.run(&["reject", name, "dev", "1"]).await?;
    // Then that is one no; its execution ends, and the next one is asked about
    ensure!(
        recorded(&ana, name, "rejected").await? == ["ben"],
        "one no, by Ben"
    );
    ended(&world, "promotion", "t-vote-1-dev-1").await?;
    until_asked(&ana, name, "dev", 2).await?;
    // And Ana's yes comes too late, with what can be done
    let said = ana.refused(&["approve", name, "dev", "1"], REFUSED).await?;
    ensure!(
        said.contains("is rejected") && said.contains("sluice status"),
        "{said}"
    );
    // When Ana says yes to the next one twice, then that is one yes, and it goes live
    ana.run(&["approve", name, "dev", "2"]).await?;
    ana.run(&["approve", name, "dev", "2"]).await?;
    until_live(&ana, name, "dev", 2).await?;
    ensure!(
        recorded(&ana, name, "approved").await? == ["ana"],
        "one yes, by Ana"
    );
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
}

#[tokio::test]
async fn who_decides_nothing_changes_nothing() -> Result<()> {
    // Given a release that waits for Ana or Ben, who also operate
    let world = World::load().await?;
    let (ana, carl) = (world.person("ana").await?, world.person("carl").await?);
    let service = Delivered::new(&world, "t-carl", &asks()).await?;
    let name = service.name.as_str();
    service.push(&Image::new("carl 1"), &["1111111"]).await?;
    let before = until_asked(&ana, name, "dev", 1).await?;
    let head = ledger(&ana, name, "dev").await?.len();
    // When Carl tries every command that changes something
    let commands: [&[&str]; 9] = [
        &["approve", name, "dev", "1"],
        &["reject", name, "dev", "1"],
        &["promote", name, "dev", "1"],
        &["abort", name, "dev"],
        &["rollback", name, "dev"],
        &["hold", name, "dev", "--reason", "mine"],
        &["unhold", name, "dev"],
        &["quarantine", name, "1", "--reason", "mine"],
        &["unquarantine", name, "1"],
    ];
    for command in commands {
        // Then each is denied, by the names of those who may
        let said = carl
            .refused(command, DENIED)
            .await
            .with_context(|| command.join(" "))?;
        ensure!(
            said.contains("ana, ben"),
            "{}: who may is not said: {said}",
            command.join(" ")
        );
    }
    // And he cannot publish a version that asks nobody
    let said = service.apply(&carl, &Options::default()).await;
    ensure!(
        said.is_err_and(|error| error.to_string().contains("may not apply")),
        "Carl took the approval away"
    );
    // And nothing has changed
    let after = environment(&ana, name, "dev").await?;
    ensure!(after == before, "{before} became {after}");
    ensure!(ledger(&ana, name, "dev").await?.len() == head, "the ledger grew");
    service.cleanup().await
}

#[tokio::test]
async fn what_is_not_there_or_done_already_is_said_with_the_next_command() -> Result<()> {
    // Given a release that is live in dev and asked about in staging
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(
        &world,
        "t-said",
        &Options {
            environments: 2,
            ..asks()
        },
    )
    .await?;
    let name = service.name.as_str();
    service.push(&Image::new("said 1"), &["1111111"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    until_asked(&ana, name, "staging", 1).await?;
    let cases: [(&[&str], i32, &str); 10] = [
        (&["status", "t-nobody"], NOT_FOUND, "no service t-nobody"),
        (&["history", "t-nobody"], NOT_FOUND, "no service t-nobody"),
        (&["promote", name, "production"], NOT_FOUND, "it has dev, staging"),
        (&["promote", name, "dev", "7"], NOT_FOUND, "no release #7"),
        (&["promote", name, "dev", "1"], REFUSED, "is live in dev already"),
        (
            &["promote", name, "staging"],
            REFUSED,
            "is in the queue of staging already",
        ),
        (&["approve", name, "staging", "7"], REFUSED, "#1 is first in line"),
        (&["abort", name, "dev"], REFUSED, "nothing to abort"),
        (
            &["rollback", name, "nowhere"],
            NOT_FOUND,
            "no environment nowhere",
        ),
        (
            &["ledger", "verify", name, "nowhere"],
            NOT_FOUND,
            "no environment nowhere",
        ),
    ];
    for (command, status, why) in cases {
        let said = ana.refused(command, status).await?;
        // the command fits its lines to the terminal
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(flat.contains(why), "sluice {}: {said}", command.join(" "));
        ensure!(
            flat.contains("sluice "),
            "sluice {} names no next command: {said}",
            command.join(" ")
        );
    }
    // What is done already is fine, and is not recorded twice
    for command in [
        &["hold", name, "dev", "--reason", "sale"][..],
        &["quarantine", name, "1", "--reason", "CVE"],
    ] {
        ana.run(command).await?;
        ana.run(command).await?;
    }
    for command in [&["unhold", name, "dev"][..], &["unquarantine", name, "1"]] {
        ana.run(command).await?;
        ana.run(command).await?;
    }
    for event in ["held", "unheld", "quarantined", "unquarantined"] {
        ensure!(
            recorded(&ana, name, event).await? == ["ana"],
            "{event} is not recorded once"
        );
    }
    service.cleanup().await
}

#[tokio::test]
async fn a_request_that_is_none_is_answered_and_not_tried() -> Result<()> {
    // Given the door, called past the Function URL by an administrator
    let world = World::load().await?;
    let event = |method: &str, arn: Value, body: &str| {
        json!({
            "requestContext": {"http": {"method": method}, "authorizer": {"iam": {"userArn": arn}}},
            "body": body, "isBase64Encoded": false,
        })
    };
    let carl = json!("arn:aws:sts::000000000000:assumed-role/sso-carl/carl");
    let fine = r#"{"command": "status"}"#;
    for (event, status, why) in [
        (event("POST", Value::Null, fine), 403, "Nobody signed"),
        (event("GET", carl.clone(), fine), 400, "is a POST"),
        (event("POST", carl.clone(), "{"), 400, "no JSON"),
        (
            event(
                "POST",
                carl.clone(),
                r#"{"command": "history", "service": "mc-api", "limit": 101}"#,
            ),
            400,
            "`limit`",
        ),
        (
            event("POST", carl.clone(), r#"{"command": "status", "service": "MC"}"#),
            400,
            "`service`",
        ),
        (event("POST", carl, fine), 200, "services"),
    ] {
        let answer = invoke(&world, "operate", &event).await?;
        ensure!(
            answer["statusCode"] == status && answer["body"].to_string().contains(why),
            "{event}: {answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_moves_to_another_repository_is_found_by_it_alone() -> Result<()> {
    // Given a service with a release
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(&world, "t-moves", &Options::default()).await?;
    let name = service.name.as_str();
    service.deliver(&ana, 1).await?;
    // When its pipeline names another repository, and images are pushed to both
    let elsewhere = "t-moves-elsewhere";
    let ecr = aws_sdk_ecr::Client::new(&world.config);
    ecr.create_repository().repository_name(elsewhere).send().await?;
    let moved = Options {
        repository: Some(elsewhere.to_owned()),
        ..Options::default()
    };
    service.apply(&ana, &moved).await?;
    service
        .push(&Image::new("moves, the old way"), &["2222222"])
        .await?;
    let second = world
        .push(elsewhere, &Image::new("moves 2"), &["3333333"])
        .await?;
    // Then the new one's image is the next release, and the old one's is none
    until_live(&ana, name, "dev", 2).await?;
    let history = ana.json(&["history", name]).await?;
    let releases = history["releases"].as_array().context("releases")?;
    ensure!(releases.len() == 2, "{history}");
    ensure!(releases[0]["digest"] == json!(second.digest), "{history}");
    service.cleanup().await
}
