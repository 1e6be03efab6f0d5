//! Processes that cannot outlive the one that started them.
//!
//! A child is started through `sluice-local guard`, which asks the kernel for SIGKILL when its parent dies
//! (PR_SET_PDEATHSIG, prctl(2)) and then becomes the program: whatever happens to the supervisor, nothing of it stays.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use tokio::process::{Child, Command};

/// A program that runs until it is dropped or killed, with its output in a log file.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts `program` in a process group of its own (a Ctrl-C in the terminal is the supervisor's to handle) with
    /// nothing in its environment but PATH and `env`.
    pub fn start(
        name: &str,
        log: &Path,
        program: &Path,
        args: &[String],
        env: &[(String, String)],
    ) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = guarded(program)
            .args(args)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self {
            name: name.into(),
            log: log.into(),
            child,
        })
    }

    /// An error with the end of the log when the program has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended with {status}. The end of {}:\n{}",
                self.name,
                self.log.display(),
                self.tail()
            ),
        }
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(20))
            .map(|line| format!("  {line}\n"))
            .collect()
    }

    /// SIGKILL, and waits until the kernel has taken it away: what these programs hold is thrown away anyway, and
    /// kube-apiserver's graceful stop takes up to a minute while watches drain.
    pub async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(program = self.name, %error, "could not be killed");
        }
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// A command that dies with this process. The guard re-executes this very program: `/proc/self/exe` names it even
/// after a rebuild has replaced the file.
pub fn guarded(program: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("guard")
        .arg(std::process::id().to_string())
        .arg("--")
        .arg(program);
    command
}

/// What `sluice-local guard <parent> -- <program> <args>` does. Returns only when the program cannot be executed.
pub fn become_guarded(parent: i32, command: &[OsString]) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("asking the kernel to end this process with its parent")?;
    if getppid().as_raw() != parent {
        bail!("the supervisor ended before its program was started");
    }
    let (program, args) = command.split_first().context("guard needs a program")?;
    let error = std::process::Command::new(program).args(args).exec();
    Err(error).with_context(|| format!("executing {}", Path::new(program).display()))
}
