//! A world to act in: the local AWS and Kubernetes, and people who use the real command under roles of their own.

use anyhow::{Context, Result, bail, ensure};
use aws_config::BehaviorVersion;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::ProvideCredentials;
use serde_json::Value;
use sluice_local::Environment;
use sluice_local::image::{Image, Pushed, Pusher};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The local AWS and Kubernetes, with Sluice in it.
#[derive(Debug, Clone)]
pub struct World {
    /// What was started.
    pub local: Environment,
    /// Root's configuration: for what an administrator does. People's commands assume a role.
    pub config: aws_config::SdkConfig,
}

/// A person with credentials of their own.
#[derive(Debug, Clone)]
pub struct Person {
    name: String,
    variables: Vec<(String, String)>,
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

impl Said {
    /// What a program that has ended said.
    pub fn of(output: &std::process::Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it printed, where it succeeded.
    pub fn well(self) -> Result<String> {
        ensure!(
            self.status == 0,
            "ended with {}: {}{}",
            self.status,
            self.out,
            self.err
        );
        Ok(self.out)
    }
}

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_path_buf()
}

/// Where the command's binary is: beside this one, or one folder above where tests lie.
fn command() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folders = here.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join("sluice"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "there is no `sluice` beside {}: `make build` makes it",
            here.display()
        )
    })
}

impl World {
    /// The environment that `sluice-local` started.
    pub async fn load() -> Result<Self> {
        let local = Environment::load()?;
        local.sluice()?;
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&local.endpoint)
            .region(aws_config::Region::new(local.region.clone()))
            .credentials_provider(aws_credential_types::Credentials::new(
                "test", "test", None, None, "root",
            ))
            .load()
            .await;
        Ok(Self { local, config })
    }

    /// A person, with an hour's session of their role.
    pub async fn person(&self, name: &str) -> Result<Person> {
        let sluice = self.local.sluice()?;
        let role = sluice
            .people
            .get(name)
            .with_context(|| format!("there is no person {name} here"))?;
        let provider = AssumeRoleProvider::builder(role.as_str())
            .session_name(name)
            .configure(&self.config)
            .build()
            .await;
        let keys = provider
            .provide_credentials()
            .await
            .with_context(|| format!("assuming {role}"))?;
        let mut variables = self.local.variables();
        variables.retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        variables.push(pair("AWS_ACCESS_KEY_ID", keys.access_key_id()));
        variables.push(pair("AWS_SECRET_ACCESS_KEY", keys.secret_access_key()));
        variables.push(pair(
            "AWS_SESSION_TOKEN",
            keys.session_token().context("a role's session has a token")?,
        ));
        Ok(Person {
            name: name.to_owned(),
            variables,
        })
    }

    /// Pushes an image as GitHub Actions would: one manifest under every tag.
    pub async fn push(&self, repository: &str, image: &Image, tags: &[&str]) -> Result<Pushed> {
        Pusher::new(&self.local, repository).push(image, tags).await
    }
}

impl Person {
    /// Runs the real `sluice` with these arguments, in the checkout.
    pub async fn sluice(&self, arguments: &[&str]) -> Result<Said> {
        let output = tokio::process::Command::new(command()?)
            .args(arguments)
            .current_dir(root())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(Said::of(&output))
    }

    /// The same, which must succeed; shows the command where `show` says so.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let said = self.sluice(arguments).await?;
        ensure!(
            said.status == 0,
            "{}: sluice {} ended with {}: {}{}",
            self.name,
            arguments.join(" "),
            said.status,
            said.out,
            said.err
        );
        Ok(said.out)
    }

    /// The same, as JSON.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let out = self.run(&[arguments, &["--output", "json"]].concat()).await?;
        serde_json::from_str(&out)
            .with_context(|| format!("sluice {} printed no JSON: {out}", arguments.join(" ")))
    }

    /// A command that must be refused with this exit status; what it said.
    pub async fn refused(&self, arguments: &[&str], status: i32) -> Result<String> {
        let said = self.sluice(arguments).await?;
        if said.status != status {
            bail!(
                "sluice {} ended with {}, not {status}: {}{}",
                arguments.join(" "),
                said.status,
                said.out,
                said.err
            );
        }
        Ok(said.out + &said.err)
    }
}
