//! From a function's start to its first wait for work, beside a Lambda function in Rust that does nothing.
//!
//! What Lambda calls init: the program starts, reaches what it needs, and asks the Runtime API for its first invocation. The
//! Runtime API here is a listener of ours that never answers; the binaries are of the release profile, as they are deployed,
//! and so is the one that does nothing.

use crate::times::{Times, head, met};
use anyhow::{Context, Result};
use sluice_tests::World;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;

const ROUNDS: usize = 10;
const LIMIT: Duration = Duration::from_secs(20);
const BARE: &str = "bare";

/// Prints how fast every function starts.
pub async fn speed(world: &World) -> Result<()> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let folder = target.join("release");
    let functions = variables(world).await?;
    let mut times: BTreeMap<&str, Times> = BTreeMap::new();
    let mut bare = Times::default();
    for _ in 0..ROUNDS {
        for (name, variables) in &functions {
            times
                .entry(name)
                .or_default()
                .took(start(world, &folder.join(name), variables).await?);
        }
        bare.took(start(world, &folder.join(BARE), &[]).await?);
    }
    head(&format!(
        "seconds from start to the first wait for work, {ROUNDS} rounds"
    ));
    bare.show("a function that does nothing");
    for (name, times) in &times {
        times.show(name);
    }
    let most = times
        .iter()
        .max_by(|one, other| one.1.median().total_cmp(&other.1.median()))
        .context("no function")?;
    let ratio = most.1.median() / bare.median();
    println!(
        "slowest start: {} at {ratio:.1} x the one that does nothing, goal 3 x: {}",
        most.0,
        met(ratio <= 3.0)
    );
    Ok(())
}

/// Each function's own environment, as it was deployed.
async fn variables(world: &World) -> Result<BTreeMap<String, Vec<(String, String)>>> {
    let client = aws_sdk_lambda::Client::new(&world.config);
    let mut all = BTreeMap::new();
    for (name, arn) in &world.local.sluice()?.functions {
        let found = client
            .get_function_configuration()
            .function_name(arn)
            .send()
            .await?;
        let variables = found.environment.and_then(|environment| environment.variables);
        all.insert(name.clone(), variables.unwrap_or_default().into_iter().collect());
    }
    Ok(all)
}

/// How long a binary takes from its start until it asks for work. It is ended then.
async fn start(world: &World, binary: &PathBuf, variables: &[(String, String)]) -> Result<Duration> {
    let runtime = TcpListener::bind("127.0.0.1:0").await?;
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs(world.local.variables())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("AWS_LAMBDA_RUNTIME_API", runtime.local_addr()?.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {}: `make bench` makes it", binary.display()))?;
    let asks = async {
        let (mut connection, _) = runtime.accept().await?;
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("/runtime/invocation/next") {
            if connection.read_buf(&mut seen).await? == 0 {
                anyhow::bail!("{} ended before it asked for work", binary.display());
            }
        }
        Ok(())
    };
    tokio::time::timeout(LIMIT, asks)
        .await
        .with_context(|| format!("{} never asked for work", binary.display()))??;
    let took = started.elapsed();
    child.kill().await?;
    Ok(took)
}
