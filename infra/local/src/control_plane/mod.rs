//! Real Kubernetes control planes on loopback: one etcd, and for each cluster an API server, a controller manager and
//! a scheduler. No kubelet: [`crate::node`] simulates the nodes.

mod certificates;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Daemon;
use crate::tools::kubernetes::Binaries;

pub use certificates::{Authority, Identity};

const READY_WITHIN: Duration = Duration::from_secs(120);

/// The one etcd, which holds every cluster under a prefix of its own.
#[derive(Debug)]
pub struct Etcd {
    daemon: Daemon,
    url: String,
}

impl Etcd {
    /// Starts it; the API servers wait for it themselves.
    pub fn start(binaries: &Binaries, dir: &Path) -> Result<Self> {
        let [client, peer] = free_ports()?;
        let url = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let args = flags(&[
            ("data-dir", &dir.join("etcd").display().to_string()),
            ("log-level", "warn"),
            ("listen-peer-urls", &peers),
            ("initial-advertise-peer-urls", &peers),
            ("initial-cluster", &format!("default={peers}")),
            ("listen-client-urls", &url),
            ("advertise-client-urls", &url),
            ("unsafe-no-fsync", "true"),           // the data is thrown away
            ("quota-backend-bytes", "8589934592"), // half an hour of history (below) may outgrow the usual 2 GiB
        ]);
        let daemon = Daemon::start("etcd", &dir.join("logs/etcd.log"), &binaries.etcd, &args, &[])?;
        Ok(Self { daemon, url })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fails when it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.daemon.check()
    }

    /// Ends it.
    pub async fn kill(self) {
        self.daemon.kill().await;
    }
}

/// One cluster's control plane.
#[derive(Debug)]
pub struct ControlPlane {
    /// The cluster's name in EKS.
    pub name: String,
    /// `https://127.0.0.1:<port>` of the API server itself.
    pub endpoint: String,
    /// Kubeconfig of an administrator (system:masters).
    pub kubeconfig: PathBuf,
    /// The cluster's certificate authority, PEM.
    pub ca: String,
    /// A server certificate of the same authority, for the proxy in front of this API server.
    pub front: Identity,
    daemons: Vec<Daemon>,
}

impl ControlPlane {
    /// Starts the API server, waits until it is ready, then starts the controllers. `token_review` is the webhook that
    /// checks bearer tokens.
    pub async fn start(
        binaries: &Binaries,
        etcd: &Etcd,
        dir: &Path,
        name: &str,
        token_review: &str,
    ) -> Result<Self> {
        let files = dir.join("clusters").join(name);
        fs::create_dir_all(&files)?;
        let [port] = free_ports()?;
        let endpoint = format!("https://127.0.0.1:{port}");
        let authority = Authority::new(name)?;
        write_credentials(name, &authority, &files, &endpoint, token_review)?;
        let mut plane = Self {
            name: name.into(),
            kubeconfig: files.join("admin.kubeconfig"),
            ca: authority.certificate(),
            front: authority.server("kube-apiserver")?,
            endpoint,
            daemons: Vec::new(),
        };
        let logs = dir.join("logs");
        plane
            .daemons
            .push(start_apiserver(binaries, &logs, &files, name, port, &etcd.url)?);
        plane.wait_until_ready(&authority).await?;
        plane
            .daemons
            .extend(start_controllers(binaries, &logs, &files, name)?);
        Ok(plane)
    }

    async fn wait_until_ready(&mut self, authority: &Authority) -> Result<()> {
        let admin = authority.client("admin", "system:masters")?;
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(self.ca.as_bytes())?])
            .identity(reqwest::Identity::from_pem(
                format!("{}{}", admin.key, admin.certificate).as_bytes(),
            )?)
            .timeout(Duration::from_secs(2))
            .build()?;
        let started = Instant::now();
        let url = format!("{}/readyz", self.endpoint);
        loop {
            self.check()?;
            if client
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN {
                let log = self.daemons.first().map(Daemon::tail).unwrap_or_default();
                bail!(
                    "kube-apiserver of {} was not ready within {READY_WITHIN:?}:\n{log}",
                    self.name
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Fails when one of its programs has ended.
    pub fn check(&mut self) -> Result<()> {
        self.daemons.iter_mut().try_for_each(Daemon::check)
    }

    /// Ends all of it.
    pub async fn kill(self) {
        futures::future::join_all(self.daemons.into_iter().map(Daemon::kill)).await;
    }
}

fn start_apiserver(
    b: &Binaries,
    logs: &Path,
    files: &Path,
    name: &str,
    port: u16,
    etcd: &str,
) -> Result<Daemon> {
    let file = |name: &str| files.join(name).display().to_string();
    let args = flags(&[
        ("etcd-servers", etcd),
        ("etcd-prefix", &format!("/{name}")),
        // Tests read what happened from etcd itself: readable, and for longer than 5 minutes.
        ("storage-media-type", "application/json"),
        ("etcd-compaction-interval", "30m"),
        ("bind-address", "127.0.0.1"),
        ("secure-port", &port.to_string()),
        ("tls-cert-file", &file("apiserver.crt")),
        ("tls-private-key-file", &file("apiserver.key")),
        ("client-ca-file", &file("ca.crt")),
        ("authorization-mode", "RBAC"),
        ("service-account-key-file", &file("sa.pub")),
        ("service-account-signing-key-file", &file("sa.key")),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-cluster-ip-range", "10.96.0.0/16"),
        // Pods here use no token, and would otherwise wait for the controller that makes their account.
        ("disable-admission-plugins", "ServiceAccount"),
        ("endpoint-reconciler-type", "none"),
        (
            "authentication-token-webhook-config-file",
            &file("token-review.kubeconfig"),
        ),
        ("authentication-token-webhook-version", "v1"),
        // Otherwise answers, refusals too, are remembered for two minutes, and a revocation would go unseen.
        ("authentication-token-webhook-cache-ttl", "0s"),
    ]);
    Daemon::start(
        "kube-apiserver",
        &logs.join(format!("{name}-apiserver.log")),
        &b.apiserver,
        &args,
        &[],
    )
}

fn start_controllers(binaries: &Binaries, logs: &Path, files: &Path, name: &str) -> Result<[Daemon; 2]> {
    let file = |name: &str| files.join(name).display().to_string();
    let shared = [
        ("kubeconfig", file("admin.kubeconfig")),
        ("leader-elect", "false".into()),
        ("secure-port", "0".into()),
    ];
    let shared: Vec<(&str, &str)> = shared
        .iter()
        .map(|(flag, value)| (*flag, value.as_str()))
        .collect();
    // nodelifecycle stays on: it is what lifts the not-ready taint from a new node.
    let controllers = "*,-node-ipam-controller,-persistentvolume-binder-controller,-persistentvolume-attach-detach-controller";
    let mut manager = flags(&shared);
    manager.extend(flags(&[
        ("controllers", controllers),
        ("service-account-private-key-file", &file("sa.key")),
        ("root-ca-file", &file("ca.crt")),
    ]));
    let log = |part: &str| logs.join(format!("{name}-{part}.log"));
    Ok([
        Daemon::start(
            "kube-controller-manager",
            &log("controllers"),
            &binaries.controller_manager,
            &manager,
            &[],
        )?,
        Daemon::start(
            "kube-scheduler",
            &log("scheduler"),
            &binaries.scheduler,
            &flags(&shared),
            &[],
        )?,
    ])
}

fn write_credentials(
    name: &str,
    authority: &Authority,
    files: &Path,
    endpoint: &str,
    token_review: &str,
) -> Result<()> {
    let apiserver = authority.server("kube-apiserver")?;
    let admin = authority.client("admin", "system:masters")?;
    let accounts = certificates::signing_key()?;
    let write =
        |file: &str, text: &str| fs::write(files.join(file), text).with_context(|| format!("writing {file}"));
    write("ca.crt", &authority.certificate())?;
    write("apiserver.crt", &apiserver.certificate)?;
    write("apiserver.key", &apiserver.key)?;
    write("sa.key", &accounts.key)?;
    write("sa.pub", &accounts.certificate)?;
    write(
        "admin.kubeconfig",
        &admin_kubeconfig(name, endpoint, &authority.certificate(), &admin),
    )?;
    write("token-review.kubeconfig", &webhook_kubeconfig(token_review))
}

/// The context has the cluster's name, so that the files of several clusters can be merged.
fn admin_kubeconfig(name: &str, endpoint: &str, ca: &str, admin: &Identity) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
         clusters: [{{name: {name}, cluster: {{server: \"{endpoint}\", certificate-authority-data: {}}}}}]\n\
         users: [{{name: {name}-admin, user: {{client-certificate-data: {}, client-key-data: {}}}}}]\n\
         contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}-admin}}}}]\n",
        encode(ca),
        encode(&admin.certificate),
        encode(&admin.key)
    )
}

fn webhook_kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: webhook\n\
         clusters: [{{name: webhook, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: webhook}}]\n\
         contexts: [{{name: webhook, context: {{cluster: webhook, user: webhook}}}}]\n"
    )
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs
        .iter()
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect()
}

/// Ports that were free a moment ago, all different. Programs that cannot choose one themselves get these; one that
/// another process takes in between makes the program end, which is seen and said.
///
/// They lie outside of what the kernel gives to outgoing connections (ip(7), `ip_local_port_range`): a port from there may
/// be somebody's before the program that is to listen on it has started.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let candidates = outside(&range);
    let count = candidates.len();
    let start = RandomState::new().hash_one(std::process::id()) as usize;
    let mut free = (0..count)
        .filter_map(|step| candidates.get(start.wrapping_add(step) % count))
        .filter_map(|port| Some((*port, TcpListener::bind(("127.0.0.1", *port)).ok()?)));
    // Nobody is let go of before all are found.
    let found: Vec<(u16, TcpListener)> = free.by_ref().take(N).collect();
    let ports: Vec<u16> = found.iter().map(|(port, _)| *port).collect();
    ports
        .try_into()
        .map_err(|found: Vec<u16>| anyhow::anyhow!("only {} of {N} ports are free", found.len()))
}

/// The ports from 10,000 that are outside of a range like `32768\t60999`; all of them where there is no such range, or
/// where it leaves too few.
fn outside(range: &str) -> Vec<u16> {
    const ENOUGH: usize = 1_000;
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u16>().ok());
    let all = 10_000..=u16::MAX;
    let left: Vec<u16> = match (ends.next(), ends.next()) {
        (Some(first), Some(last)) => all
            .clone()
            .filter(|port| !(first..=last).contains(port))
            .collect(),
        _ => Vec::new(),
    };
    if left.len() < ENOUGH { all.collect() } else { left }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_are_free_different_and_nobodys_by_chance() {
        let ports = free_ports::<8>().unwrap();
        let different: std::collections::BTreeSet<u16> = ports.into();
        assert_eq!(different.len(), 8);
        let usual = outside("32768\t60999\n");
        assert!(usual.contains(&32_767) && !usual.contains(&32_768) && usual.contains(&61_000));
        assert_eq!(outside("1024\t65535\n").len(), outside("").len());
    }
}
