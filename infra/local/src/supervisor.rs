//! Starts everything, keeps watch over it, and ends all of it.

use std::fs::{self, File, TryLockError};
use std::future::Future;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::aws::{self, ACCOUNT, Aws, REGION, Records};
use crate::control_plane::{ControlPlane, Etcd};
use crate::deploy::{self, Deployer};
use crate::environment::{Cluster, Environment, Sluice};
use crate::faults::{control, proxy};
use crate::furnish::furnish;
use crate::https::Vendors;
use crate::tools::Tools;

/// Clusters and their namespaces, by order of promotion.
const CLUSTERS: [(&str, &[&str]); 2] = [
    ("mc-staging-eks", &["dev", "staging"]),
    ("mc-prod-eks", &["production"]),
];

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The environment's folder; emptied first.
    pub dir: PathBuf,
    /// AWS and Kubernetes only.
    pub without_sluice: bool,
    /// Where cargo put the functions' binaries.
    pub binaries: PathBuf,
}

/// Everything that was started. Dropping it kills it too, without tidying up.
pub struct Running {
    /// How to reach it.
    pub environment: Environment,
    aws: Aws,
    etcd: Etcd,
    planes: Vec<ControlPlane>,
    tasks: JoinSet<Result<()>>,
    _lock: File,
}

/// Starts everything, with a line of progress for each part.
pub async fn start(options: &Options, tools: &Tools) -> Result<Running> {
    let clock = Clock(Instant::now());
    let lock = take_lock(&options.dir)?;
    empty(&options.dir)?;
    fs::create_dir_all(options.dir.join("logs"))?;

    let records = Records::new(&options.dir)?;
    let calls = options.dir.join("calls.jsonl");
    let shared = proxy::Shared::new(&records.invocations, &calls)?;
    let mut tasks = JoinSet::new();
    let (control, faults) = listen("http").await?;
    let router = control::router(shared.engine.clone());
    tasks.spawn(async move { Ok(axum::serve(control, router).await?) });

    let vendors = Vendors::of(&options.dir);
    vendors.make()?;
    let port = aws::port()?;
    let (listener, functions_endpoint) = listen("http").await?;
    tasks.spawn(proxy::Proxy::aws(shared.clone(), &format!("http://127.0.0.1:{port}"))?.serve(listener));
    let mut aws = Aws::start(
        &tools.ministack,
        &options.dir,
        port,
        &functions_endpoint,
        &records,
        &vendors.authority,
    )?;
    let mut etcd = Etcd::start(&tools.kubernetes, &options.dir)?;
    let deployer = Deployer {
        sam: tools.sam.clone(),
        dir: options.dir.clone(),
        endpoint: aws.endpoint.clone(),
        clusters: CLUSTERS.map(|(name, _)| name.to_owned()).into(),
        binaries: options.binaries.clone(),
        helm: tools.helm.clone(),
    };
    let secrets = CLUSTERS.map(|_| secret());
    let reviews: Vec<String> = CLUSTERS
        .iter()
        .zip(&secrets)
        .map(|((name, _), secret)| aws.token_review(name, secret))
        .collect();
    let with_sluice = !options.without_sluice && deploy::possible();

    let on_aws = async {
        aws.wait_until_ready().await?;
        clock.say("AWS answers");
        account(&deployer, with_sluice, &clock).await
    };
    let on_kubernetes = async {
        let starting = CLUSTERS.iter().zip(&reviews).map(|((name, _), review)| {
            ControlPlane::start(&tools.kubernetes, &etcd, &options.dir, name, review)
        });
        let planes = futures::future::try_join_all(starting).await?;
        clock.say("both API servers answer");
        Ok::<_, anyhow::Error>(planes)
    };
    // Whichever fails first ends the other.
    let (sluice, planes) = tokio::try_join!(on_aws, on_kubernetes)?;
    etcd.check()?;

    let mut clusters = Vec::new();
    for (plane, (_, namespaces)) in planes.iter().zip(CLUSTERS) {
        let (listener, proxy) = listen("https").await?;
        let serving = proxy::Proxy::kubernetes(
            shared.clone(),
            &plane.name,
            &plane.endpoint,
            &plane.ca,
            &plane.front,
        )?;
        tasks.spawn(serving.serve(listener));
        clusters.push(Cluster {
            name: plane.name.clone(),
            endpoint: plane.endpoint.clone(),
            proxy,
            kubeconfig: plane.kubeconfig.clone(),
            namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
        });
    }
    let furnishing = planes
        .iter()
        .zip(&clusters)
        .map(|(plane, cluster)| furnish(plane, &cluster.namespaces, &tools.definitions));
    let furnished = futures::future::try_join_all(furnishing).await?;
    for (index, one) in furnished.into_iter().enumerate() {
        one.play(&aws.endpoint, index, &mut tasks)?;
    }
    let fronts: Vec<_> = planes
        .iter()
        .zip(&clusters)
        .zip(&secrets)
        .map(|((plane, cluster), secret)| (plane, cluster.proxy.as_str(), secret.as_str()))
        .collect();
    aws.publish_clusters(&fronts)?;
    clock.say("nodes, namespaces and policies are in place");

    let environment = Environment {
        endpoint: aws.endpoint.clone(),
        functions_endpoint,
        faults,
        account: ACCOUNT.into(),
        region: REGION.into(),
        clusters,
        etcd: etcd.url().to_owned(),
        dir: options.dir.clone(),
        invocations: records.invocations,
        permissions_log: records.permissions,
        calls_log: calls,
        sam_bin: tools.sam.clone(),
        helm: tools.helm.clone(),
        charts: tools.charts.clone(),
        vendors,
        sluice,
    };
    environment.write()?;
    clock.say("ready");
    Ok(Running {
        environment,
        aws,
        etcd,
        planes,
        tasks,
        _lock: lock,
    })
}

/// The account's furniture and, if wanted, Sluice.
async fn account(deployer: &Deployer, with_sluice: bool, clock: &Clock) -> Result<Option<Sluice>> {
    let package = async {
        if with_sluice {
            deployer.package().await
        } else {
            Ok(())
        }
    };
    tokio::try_join!(deployer.prepare(), package)?;
    clock.say("repository and clusters exist in AWS");
    if !with_sluice {
        return Ok(None);
    }
    let sluice = deployer.deploy().await?;
    clock.say("Sluice is deployed");
    Ok(Some(sluice))
}

impl Running {
    /// Returns only when something has ended that should not have.
    pub async fn failure(&mut self) -> anyhow::Error {
        loop {
            if let Err(error) = self.check() {
                return error;
            }
            match tokio::time::timeout(Duration::from_millis(500), self.tasks.join_next()).await {
                Err(_) => {}
                Ok(Some(Ok(Err(error)))) => return error,
                Ok(ended) => return anyhow::anyhow!("a part of the environment ended: {ended:?}"),
            }
        }
    }

    fn check(&mut self) -> Result<()> {
        self.aws.check()?;
        self.etcd.check()?;
        self.planes.iter_mut().try_for_each(ControlPlane::check)
    }

    /// Ends everything and removes the environment's folder; its logs stay in `<folder>-logs`.
    pub async fn stop(mut self) -> Result<()> {
        self.tasks.shutdown().await;
        futures::future::join_all(self.planes.into_iter().map(ControlPlane::kill)).await;
        self.aws.kill().await;
        self.etcd.kill().await;
        tidy(&self.environment.dir)
    }
}

/// Removes an environment's folder, all but its logs, which go to `<folder>-logs`.
pub fn tidy(dir: &Path) -> Result<()> {
    let logs = logs(dir);
    if dir.join("logs").is_dir() {
        remove(&logs)?;
        fs::rename(dir.join("logs"), &logs)?;
        for record in ["calls.jsonl", "permissions.jsonl"] {
            let _ = fs::rename(dir.join(record), logs.join(record)); // there is none when the start failed early
        }
    }
    remove(dir)?;
    remove_file(&lock_file(dir))
}

fn empty(dir: &Path) -> Result<()> {
    remove(dir)?;
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Where the logs of an environment that has ended are.
pub fn logs(dir: &Path) -> PathBuf {
    beside(dir, "-logs")
}

/// The file whose lock the supervisor of this folder holds, with its process id inside.
pub fn lock_file(dir: &Path) -> PathBuf {
    beside(dir, ".lock")
}

fn take_lock(dir: &Path) -> Result<File> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let path = lock_file(dir);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "an environment is already up in {}: use it, end it with `sluice-local down`, or name another folder in SLUICE_LOCAL_DIR",
            dir.display()
        ),
        Err(TryLockError::Error(error)) => return Err(error).context("locking the environment"),
    }
    file.set_len(0)?;
    write!(file, "{}", std::process::id())?;
    Ok(file)
}

/// The process that holds this folder's lock now; none when the environment is down.
pub fn holder(dir: &Path) -> Result<Option<i32>> {
    let mut file = match File::open(lock_file(dir)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(Some(text.trim().parse().with_context(|| {
                format!("{} does not hold a process id", lock_file(dir).display())
            })?))
        }
    }
}

async fn listen(scheme: &str) -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("{scheme}://127.0.0.1:{}", listener.local_addr()?.port());
    Ok((listener, url))
}

/// 128 bits that nobody guesses: what lets an API server ask the TokenReview webhook.
fn secret() -> String {
    use std::hash::{BuildHasher, RandomState};
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

struct Clock(Instant);

impl Clock {
    fn say(&self, what: &str) {
        eprintln!("{:>5.1} s  {what}", self.0.elapsed().as_secs_f32());
    }
}

/// Removes what runs that were killed with SIGKILL have left in this folder: theirs are named `local-run-<process id>`.
pub fn sweep(target: &Path) -> Result<()> {
    for entry in fs::read_dir(target).into_iter().flatten() {
        let path = entry?.path();
        let run = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("local-run-"));
        let over = run
            .and_then(|pid| pid.parse::<u32>().ok())
            .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if over {
            remove(&path)?;
            remove_file(&lock_file(&path))?;
        }
    }
    Ok(())
}

/// Runs until `work` ends, a part fails, or somebody wants an end: then everything is ended, whatever happened.
pub async fn supervise<T>(running: Running, work: impl Future<Output = T>) -> Result<T> {
    let mut running = running;
    let outcome = tokio::select! {
        done = work => Ok(done),
        error = running.failure() => Err(error),
    };
    running.stop().await?;
    outcome
}
