//! `sluice-local`: AWS and Kubernetes on one machine, with Sluice in them.

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use sluice_local::supervisor::{self, Options};
use sluice_local::{Environment, environment, places, process, tools};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(
    about,
    after_help = "README.md in infra/local says what is real, what is emulated and what is simulated."
)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Build what must be built before an environment can start; the first time takes minutes
    Tools {
        /// Print only the folder that holds sam, aws, cfn-lint and cargo-lambda
        #[arg(long)]
        sam_bin: bool,
        /// Print only the python that holds the local AWS
        #[arg(long, conflicts_with = "sam_bin")]
        aws_python: bool,
        /// Print only helm's path
        #[arg(long, conflicts_with_all = ["sam_bin", "aws_python"])]
        helm: bool,
        /// Print only kubectl's path; nothing else needs it, so it is built when this asks for it
        #[arg(long, conflicts_with_all = ["sam_bin", "aws_python", "helm"])]
        kubectl: bool,
    },
    /// Start an environment and leave it running
    Up(What),
    /// End the environment that `up` left running
    Down,
    /// Say whether an environment runs, and how to reach it
    Status,
    /// Deploy what cargo built now into the running environment: functions get new versions, what waits goes on
    Redeploy {
        /// What this build is called; the same binaries by another name are another version
        build: String,
    },
    /// Start an environment of its own, run a command in it, and end it again
    Run {
        #[command(flatten)]
        what: What,
        /// The command, which finds the environment by SLUICE_LOCAL_ENVIRONMENT
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// What `up` starts
    #[command(hide = true)]
    Supervise(What),
    /// Become a program that dies with its parent
    #[command(hide = true)]
    Guard {
        parent: i32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(clap::Args, Clone)]
struct What {
    /// AWS and Kubernetes only
    #[arg(long)]
    without_sluice: bool,
    /// Folder with the functions' binaries [default: where this program lies]
    #[arg(long)]
    binaries: Option<PathBuf>,
}

/// Where cargo put the functions: beside this program.
fn binaries() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    here.parent()
        .map(Path::to_path_buf)
        .context("this program lies nowhere")
}

impl What {
    fn options(&self, dir: PathBuf) -> Result<Options> {
        let binaries = match &self.binaries {
            Some(named) => named.clone(),
            None => binaries()?,
        };
        let binaries = std::path::absolute(binaries)?;
        Ok(Options {
            dir: std::path::absolute(dir)?,
            without_sluice: self.without_sluice,
            binaries,
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Subcommands::Guard { parent, command } = &arguments.command {
        return report(process::become_guarded(*parent, command).map(|()| ExitCode::FAILURE));
    }
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "sluice_local=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    report(work(arguments.command))
}

fn report(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("sluice-local: {error:#}");
        ExitCode::FAILURE
    })
}

/// Everything happens in this thread: the kernel ends children when the *thread* that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn work(command: Subcommands) -> Result<ExitCode> {
    match command {
        Subcommands::Tools {
            sam_bin,
            aws_python,
            helm,
            kubectl,
        } => {
            let ready = tools::ready().await?;
            if sam_bin {
                println!("{}", ready.sam.display());
            }
            if aws_python {
                println!("{}", ready.ministack.display());
            }
            if helm {
                println!("{}", ready.helm.display());
            }
            if kubectl {
                println!("{}", tools::kubectl::binary().await?.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Up(what) => up(&what).await,
        Subcommands::Down => down().await,
        Subcommands::Status => status(),
        Subcommands::Redeploy { build } => {
            let environment = Environment::load()?;
            environment.deployer(binaries()?).redeploy(&build).await?;
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Run { what, command } => run(&what, &command).await,
        Subcommands::Supervise(what) => stay(&what).await,
        Subcommands::Guard { .. } => bail!("guard is handled before"),
    }
}

/// Ends when this process is asked to: Ctrl-C, a closed terminal, or `kill`.
async fn asked_to_end() -> Result<i32> {
    let [mut interrupt, mut terminate, mut hangup] = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal);
    let (interrupt, terminate, hangup) = (interrupt.as_mut(), terminate.as_mut(), hangup.as_mut());
    match (interrupt, terminate, hangup) {
        (Ok(interrupt), Ok(terminate), Ok(hangup)) => tokio::select! {
            _ = interrupt.recv() => Ok(2),
            _ = terminate.recv() => Ok(15),
            _ = hangup.recv() => Ok(1),
        },
        _ => bail!("signals cannot be listened for"),
    }
}

async fn start_or_end(options: &Options) -> Result<supervisor::Running> {
    let starting = async {
        let tools = tools::ready().await?;
        supervisor::start(options, &tools).await
    };
    // The signals first: they are heard from the first poll on, and nothing may be started before they are.
    let started = tokio::select! {
        biased;
        _ = asked_to_end() => Err(anyhow::anyhow!("ended before it was ready")),
        started = starting => started,
    };
    // A child that was just forked may still hold the lock for an instant: it is ours all the same.
    let own = i32::try_from(std::process::id()).ok();
    if started.is_err() && supervisor::holder(&options.dir)?.is_none_or(|holder| Some(holder) == own) {
        tidy_when_quiet(&options.dir).await?;
    }
    started
}

/// Children that were just killed may write for an instant longer: what they leave is removed again.
async fn tidy_when_quiet(dir: &Path) -> Result<()> {
    for _ in 0..100 {
        if supervisor::tidy(dir).is_ok() && !dir.exists() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    supervisor::tidy(dir)
}

async fn run(what: &What, command: &[OsString]) -> Result<ExitCode> {
    let target = places::project().join("target");
    supervisor::sweep(&target)?;
    // A folder of its own: what `up` left running, and another `run`, are not in its way.
    let options = what.options(target.join(format!("local-run-{}", std::process::id())))?;
    let running = start_or_end(&options).await?;
    let variables = running.environment.variables();
    let code = supervisor::supervise(running, execute(command, variables)).await??;
    let logs = supervisor::logs(&options.dir);
    if code == ExitCode::SUCCESS {
        fs::remove_dir_all(&logs).with_context(|| format!("removing {}", logs.display()))?;
    } else {
        eprintln!("logs of AWS and Kubernetes: {}", logs.display());
    }
    Ok(code)
}

/// Runs the command in the terminal's foreground; a signal goes to it, and its end is awaited.
async fn execute(command: &[OsString], variables: Vec<(String, String)>) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("there is no command to run")?;
    let mut child = process::guarded(Path::new(program))
        .args(arguments)
        .envs(variables)
        .spawn()
        .with_context(|| format!("starting {}", Path::new(program).display()))?;
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw);
    let mut asked = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            signal = asked_to_end() => {
                asked += 1;
                let signal = if asked > 1 { Signal::SIGKILL } else { Signal::try_from(signal?)? };
                // A Ctrl-C in the terminal has reached the command already.
                let passed_on = signal != Signal::SIGINT || !std::io::stdin().is_terminal();
                if let Some(pid) = pid.filter(|_| passed_on) {
                    let _ = kill(pid, signal); // it may just have ended
                }
            }
        }
    };
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The supervisor that `up` detaches.
async fn stay(what: &What) -> Result<ExitCode> {
    setsid().context("leaving the terminal")?;
    let running = start_or_end(&what.options(places::environment())?).await?;
    supervisor::supervise(running, asked_to_end()).await??;
    Ok(ExitCode::SUCCESS)
}

async fn up(what: &What) -> Result<ExitCode> {
    let dir = std::path::absolute(places::environment())?;
    if supervisor::holder(&dir)?.is_some() {
        eprintln!("already up");
        print_hints(&Environment::read(&dir.join(environment::FILE))?);
        return Ok(ExitCode::SUCCESS);
    }
    tools::ready().await?; // here, where a person sees it
    let log = log_file(&dir)?;
    let output = fs::File::create(&log)?;
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command
        .arg("supervise")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if what.without_sluice {
        command.arg("--without-sluice");
    }
    if let Some(binaries) = &what.binaries {
        command.arg("--binaries").arg(binaries);
    }
    let mut child = command.spawn().context("starting the supervisor")?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let mut shown = 0;
    loop {
        let text = fs::read_to_string(&log)?;
        eprint!("{}", text.get(shown..).unwrap_or_default());
        shown = text.len();
        if let Ok(environment) = Environment::read(&dir.join(environment::FILE)) {
            print_hints(&environment);
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            status = child.wait() => {
                let rest = fs::read_to_string(&log)?;
                eprint!("{}", rest.get(shown..).unwrap_or_default());
                bail!("the supervisor ended with {}; logs are in {}-logs", status?, dir.display());
            }
            _ = asked_to_end() => {
                if let Some(pid) = pid {
                    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
                }
                child.wait().await?;
                bail!("ended before it was ready");
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

/// Beside the environment's folder, which the supervisor empties.
fn log_file(dir: &Path) -> Result<PathBuf> {
    let parent = dir.parent().context("an environment needs a folder to lie in")?;
    fs::create_dir_all(parent)?;
    let name = dir
        .file_name()
        .context("an environment needs a name")?
        .to_string_lossy()
        .into_owned();
    Ok(parent.join(format!("{name}.log")))
}

async fn down() -> Result<ExitCode> {
    let dir = std::path::absolute(places::environment())?;
    let Some(pid) = supervisor::holder(&dir)? else {
        eprintln!("nothing is up in {}", dir.display());
        return Ok(ExitCode::SUCCESS);
    };
    // The lock is held by this process; that it is ours is asked all the same before anything is ended.
    let command = fs::read(format!("/proc/{pid}/cmdline")).context("the supervisor has just ended")?;
    if !String::from_utf8_lossy(&command).contains("supervise") {
        bail!(
            "process {pid} holds {} and is no supervisor: look at it before you end it",
            supervisor::lock_file(&dir).display()
        );
    }
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    let started = Instant::now();
    while supervisor::holder(&dir)?.is_some() {
        if started.elapsed() > Duration::from_secs(30) {
            bail!("the supervisor (process {pid}) has not ended within 30 s");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("ended");
    Ok(ExitCode::SUCCESS)
}

fn status() -> Result<ExitCode> {
    let dir = std::path::absolute(places::environment())?;
    let Some(pid) = supervisor::holder(&dir)? else {
        println!(
            "nothing is up in {}: `sluice-local up` starts an environment",
            dir.display()
        );
        return Ok(ExitCode::from(3));
    };
    match Environment::read(&dir.join(environment::FILE)) {
        Ok(environment) => {
            println!("up, supervised by process {pid}");
            print_hints(&environment);
        }
        Err(_) => println!("starting, supervised by process {pid}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_hints(environment: &Environment) {
    println!(
        "\nAWS          {} (account {}, region {})",
        environment.endpoint, environment.account, environment.region
    );
    for cluster in &environment.clusters {
        println!(
            "Kubernetes   {} ({}): {}",
            cluster.name,
            cluster.namespaces.join(", "),
            cluster.kubeconfig.display()
        );
    }
    if let Some(sluice) = &environment.sluice {
        println!("Sluice       {}", sluice.operate_url);
    }
    println!("\nTry");
    println!("  source {}", environment.dir.join("env.sh").display());
    println!(
        "  {} ecr describe-images --repository-name mc-api",
        environment.sam_bin.join("aws").display()
    );
    for cluster in &environment.clusters {
        println!("  kubectl --context {} get pods --all-namespaces", cluster.name);
    }
    if environment.sluice.is_some() {
        println!("  AWS_PROFILE=ana target/debug/sluice status");
    }
    println!("  sluice-local down");
}
