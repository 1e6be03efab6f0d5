//! The helm program: never through a shell, with nothing of this process's environment, and ended with its whole group.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sluice_lambda::Failure;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// The most that helm may print: a rendered chart with all its values.
const MOST_OUTPUT: u64 = 32 << 20;
/// The most of its complaints that is read.
const MOST_COMPLAINTS: u64 = 64 << 10;

/// How helm ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether it says that it succeeded.
    pub success: bool,
    /// Its standard output.
    pub output: Vec<u8>,
    /// Its standard error, as text.
    pub complaints: String,
}

/// Runs helm in `home`, whose `kubeconfig` it uses, until it ends, `limit` is over, or `lost` says why it must not go on.
pub(crate) async fn run(
    program: &Path,
    home: &Path,
    arguments: &[String],
    limit: Duration,
    lost: impl Future<Output = Failure>,
) -> Result<Ended, Failure> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .env("HELM_PLUGINS", home.join("plugins"))
        .env("KUBECONFIG", home.join("kubeconfig"))
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Failure::internal(format!("{} cannot be started: {error}", program.display())))?;
    let group = Group::of(&child);
    let reading = async {
        let (output, complaints) = tokio::join!(
            read(child.stdout.take(), MOST_OUTPUT),
            read(child.stderr.take(), MOST_COMPLAINTS)
        );
        let status = child
            .wait()
            .await
            .map_err(|error| Failure::transient(format!("helm's end was not seen: {error}")))?;
        if let Some(signal) = status.signal() {
            // Not by this function: it had too little memory, or somebody ended it. What it left is closed by the next one.
            return Err(Failure::transient(format!("helm was ended by signal {signal}")));
        }
        Ok(Ended {
            success: status.success(),
            output: output?,
            complaints: String::from_utf8_lossy(&complaints?).into_owned(),
        })
    };
    let outcome = tokio::select! {
        biased;
        failure = lost => Err(failure),
        ended = tokio::time::timeout(limit, reading) => ended.unwrap_or_else(|_| Err(Failure::refused(format!(
            "helm did not end within {} s, and was ended: a hook of the chart takes longer",
            limit.as_secs()
        )))),
    };
    drop(group);
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) {
        tracing::info!(
            helm_mb = usage.max_rss() / 1024,
            "the most memory that a helm has had"
        );
    }
    outcome
}

/// The rest is read and thrown away, so that helm never waits for a reader.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, Failure> {
    let Some(mut pipe) = pipe else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    let failed = |error: std::io::Error| Failure::transient(format!("helm's output was not read: {error}"));
    (&mut pipe)
        .take(most)
        .read_to_end(&mut bytes)
        .await
        .map_err(failed)?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink())
        .await
        .map_err(failed)?;
    Ok(bytes)
}

/// Helm's process group: what is left of it is ended with this.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its fence is over or it has ended: nothing of what it would tidy up could still be written.
        if let Some(group) = self.0
            && let Err(error) = killpg(group, Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::warn!(%error, "helm could not be ended");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::pending;

    async fn shell(
        script: &str,
        limit: Duration,
        lost: impl Future<Output = Failure>,
    ) -> Result<Ended, Failure> {
        let home = tempfile::tempdir().unwrap();
        let arguments = ["-c".to_owned(), script.to_owned()];
        run(Path::new("/bin/sh"), home.path(), &arguments, limit, lost).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn both_outputs_and_the_end_are_told() {
        let ended = shell("echo out; echo err >&2; exit 3", LONG, pending())
            .await
            .unwrap();
        assert!(!ended.success);
        assert_eq!(
            (ended.output.as_slice(), ended.complaints.as_str()),
            (b"out\n".as_slice(), "err\n")
        );
    }

    #[tokio::test]
    async fn nothing_of_this_process_is_in_its_environment() {
        let ended = shell("env", LONG, pending()).await.unwrap();
        let text = String::from_utf8(ended.output).unwrap();
        assert!(!text.contains("CARGO") && !text.contains("AWS_"), "{text}");
    }

    #[tokio::test]
    async fn it_ends_with_its_children_when_the_environment_is_lost() {
        let lost = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Failure::preempted("another has it")
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let failure = shell(&script, LONG, lost).await.unwrap_err();
        assert_eq!(failure.name(), sluice_lambda::ErrorName::Preempted);
        let child: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let gone = || match std::fs::read_to_string(format!("/proc/{child}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let limit = std::time::Instant::now() + LONG;
        while !gone() {
            assert!(std::time::Instant::now() < limit, "the child lives");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn one_that_somebody_ends_did_not_fail() {
        let failure = shell("kill -9 $$", LONG, pending()).await.unwrap_err();
        assert_eq!(failure.name(), sluice_lambda::ErrorName::Transient);
        assert!(failure.to_string().contains("signal 9"), "{failure}");
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended() {
        let failure = shell("sleep 600", Duration::from_millis(100), pending())
            .await
            .unwrap_err();
        assert!(failure.to_string().contains("did not end"), "{failure}");
    }
}
