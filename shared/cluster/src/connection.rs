//! Finding a cluster and making a client for it.

use crate::access::ClusterAccess;
use crate::error::{ClusterError, Source};
use crate::namespace::Namespace;
use crate::token;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sluice_aws::AwsPlace;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long a client is kept, so that a changed endpoint or access entry is met soon; well within a token's 14 minutes.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// A client is not used in the last moments of the credentials that signed its token.
const MARGIN: Duration = Duration::from_secs(30);
/// The session name of an assumed role: a person who reads CloudTrail or the audit log of the cluster sees it.
const SESSION: &str = "sluice";
/// How long to wait for a connection to an API server.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an API server may say nothing. Longer than it lets a watch go on (see `wait`).
pub(crate) const READ: Duration = Duration::from_secs(20);

/// Where a service runs: one namespace of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterAddress {
    /// The EKS cluster's name.
    pub cluster: String,
    /// Its region; none where it is the one that Sluice runs in.
    pub region: Option<String>,
    /// The ARN of the role that is assumed to reach it; none for Sluice's own.
    pub role: Option<String>,
    /// The namespace.
    pub namespace: String,
}

/// The clusters that this process has met. Clones share their clients.
#[derive(Debug, Clone)]
pub struct Clusters {
    config: SdkConfig,
    known: Arc<Mutex<HashMap<Key, Connection>>>,
}

/// What a client is made of: cluster, region, role and the name of the role's session.
type Key = (String, Option<String>, Option<String>, String);

#[derive(Clone)]
struct Connection {
    client: kube::Client,
    until: SystemTime,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Clusters {
    /// Clusters that are reached with this configuration's credentials.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            config: config.clone(),
            known: Arc::default(),
        }
    }

    /// The namespace at this address: describes the cluster, assumes the role where there is one, and signs a token,
    /// unless a client is at hand. The API server itself is not asked yet.
    pub async fn connect(&self, address: &ClusterAddress) -> Result<Namespace, ClusterError> {
        self.connect_by(Session {
            address: address.clone(),
            name: SESSION.to_owned(),
        })
        .await
    }

    /// The same, with the role assumed under this session name, which is the end of the user's name in the cluster
    /// (Amazon EKS, access entries: `{{SessionName}}`).
    pub async fn connect_as(
        &self,
        address: &ClusterAddress,
        session: &str,
    ) -> Result<Namespace, ClusterError> {
        self.connect_by(named_session(address, session)?).await
    }

    /// How another program reaches the cluster under this session name. Everything is read and signed anew.
    pub async fn access(
        &self,
        address: &ClusterAddress,
        session: &str,
    ) -> Result<ClusterAccess, ClusterError> {
        let signed = self.sign(&named_session(address, session)?).await?;
        Ok(ClusterAccess {
            endpoint: signed.described.endpoint,
            certificate: signed.described.certificates,
            token: signed.token,
        })
    }

    async fn connect_by(&self, session: Session) -> Result<Namespace, ClusterError> {
        self.client(&session).await?;
        Ok(Namespace::of_cluster(self.clone(), session))
    }

    /// A client that is good for a while.
    pub(crate) async fn client(&self, session: &Session) -> Result<kube::Client, ClusterError> {
        let now = SystemTime::now();
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&session.key())
            .cloned();
        match known {
            Some(connection) if now < connection.until => Ok(connection.client),
            _ => self.renew(session).await,
        }
    }

    /// A new client: also the endpoint and the certificate are read again.
    pub(crate) async fn renew(&self, session: &Session) -> Result<kube::Client, ClusterError> {
        let signed = self.sign(session).await?;
        let client = client(&session.address.cluster, &signed.described, signed.token)?;
        let connection = Connection {
            client: client.clone(),
            until: signed.until,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Sessions are named after fences, of which there is always another one.
        known.retain(|_, connection| SystemTime::now() < connection.until);
        known.insert(session.key(), connection);
        Ok(client)
    }

    async fn sign(&self, session: &Session) -> Result<Signed, ClusterError> {
        let config = self.config_for(session).await?;
        let cluster = &session.address.cluster;
        let described = describe(&config, cluster).await?;
        let region = config
            .region()
            .ok_or_else(|| invalid(cluster, "no region is configured"))?
            .to_string();
        let credentials = credentials_of(&config, cluster).await?;
        let now = SystemTime::now();
        let until = usable_until(now, credentials.expiry());
        let token = token::token(credentials, &region, cluster, now)?;
        Ok(Signed {
            described,
            token,
            until,
        })
    }

    /// Our configuration, in the cluster's region and as the role that may reach it.
    async fn config_for(&self, session: &Session) -> Result<SdkConfig, ClusterError> {
        let ClusterAddress { region, role, .. } = session.address.clone();
        let place = AwsPlace { region, role };
        let (config, _) = place
            .config(&self.config, &session.name)
            .await
            .map_err(ClusterError::from_assume)?;
        Ok(config)
    }
}

/// An address, and the name under which its role is assumed.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub address: ClusterAddress,
    name: String,
}

impl Session {
    fn key(&self) -> Key {
        let ClusterAddress {
            cluster,
            region,
            role,
            ..
        } = self.address.clone();
        (cluster, region, role, self.name.clone())
    }
}

/// A session whose name matters needs a role that it is a session of.
fn named_session(address: &ClusterAddress, name: &str) -> Result<Session, ClusterError> {
    if address.role.is_none() {
        let message = format!("session {name} needs a role that is assumed; none is named");
        return Err(invalid(&address.cluster, &message));
    }
    Ok(Session {
        address: address.clone(),
        name: name.to_owned(),
    })
}

struct Signed {
    described: Described,
    token: String,
    until: SystemTime,
}

/// A client lives at most as long as `KEPT`, and not to the end of the credentials that signed its token.
fn usable_until(now: SystemTime, credentials_end: Option<SystemTime>) -> SystemTime {
    let kept = now + KEPT.min(token::VALID);
    credentials_end
        .and_then(|end| end.checked_sub(MARGIN))
        .map_or(kept, |end| kept.min(end))
}

async fn credentials_of(config: &SdkConfig, cluster: &str) -> Result<Credentials, ClusterError> {
    let provider = config
        .credentials_provider()
        .ok_or_else(|| invalid(cluster, "no credentials are configured"))?;
    provider
        .provide_credentials()
        .await
        .map_err(|error| ClusterError::Unreachable {
            place: format!("the source of AWS credentials, for cluster {cluster},"),
            source: error.into(),
        })
}

struct Described {
    endpoint: String,
    certificates: Vec<u8>,
}

async fn describe(config: &SdkConfig, cluster: &str) -> Result<Described, ClusterError> {
    let what = format!("cluster {cluster}");
    let call = aws_sdk_eks::Client::new(config).describe_cluster().name(cluster);
    let answer = call
        .send()
        .await
        .map_err(|error| ClusterError::from_aws(&what, error))?;
    let found = answer
        .cluster
        .ok_or_else(|| invalid(cluster, "EKS answered without a cluster"))?;
    let status = found
        .status
        .map_or_else(|| "unknown".to_owned(), |status| status.as_str().to_owned());
    let certificate = found.certificate_authority.and_then(|authority| authority.data);
    let (Some(endpoint), Some(certificate)) = (found.endpoint, certificate) else {
        return Err(ClusterError::Unavailable {
            place: what,
            message: format!("it has no endpoint yet; its status is {status}"),
        });
    };
    let certificates = STANDARD
        .decode(certificate)
        .map_err(|error| invalid(cluster, &error.to_string()))?;
    Ok(Described {
        endpoint,
        certificates,
    })
}

fn client(cluster: &str, described: &Described, token: String) -> Result<kube::Client, ClusterError> {
    let endpoint = described
        .endpoint
        .parse()
        .map_err(|_| invalid(cluster, "its endpoint is no URL"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&described.certificates).collect();
    let certificates =
        certificates.map_err(|error| invalid(cluster, &format!("its certificate: {error}")))?;
    if certificates.is_empty() {
        return Err(invalid(cluster, "it has no certificate authority"));
    }
    let mut config = kube::Config::new(endpoint);
    config.root_cert = Some(certificates.iter().map(|der| der.to_vec()).collect());
    config.auth_info.token = Some(token.into());
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    // Else the time that a connection lay idle, also while the Lambda was frozen, counts.
    config.reset_reader_on_write = true;
    // kube installs a TLS provider where the process has none, so that this cannot panic whatever else is linked.
    kube::Client::try_from(config).map_err(|error| unusable(cluster, error.into()))
}

fn invalid(cluster: &str, message: &str) -> ClusterError {
    ClusterError::Invalid {
        object: format!("cluster {cluster}"),
        message: message.to_owned(),
    }
}

fn unusable(cluster: &str, error: Source) -> ClusterError {
    invalid(cluster, &crate::error::chain(error.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(role: Option<&str>) -> ClusterAddress {
        ClusterAddress {
            cluster: "mc-prod-eks".to_owned(),
            region: None,
            role: role.map(str::to_owned),
            namespace: "production".to_owned(),
        }
    }

    #[test]
    fn a_session_is_of_a_role_and_has_a_client_of_its_own() {
        let told = named_session(&address(None), "fence-7").err();
        assert!(
            told.is_some_and(|told| told.to_string().contains("session fence-7 needs a role")),
            "there is nothing to assume"
        );
        let keys: Vec<_> = ["fence-7", "fence-8"]
            .iter()
            .filter_map(|name| Some(named_session(&address(Some("r")), name).ok()?.key()))
            .collect();
        assert!(
            matches!(keys.as_slice(), [one, other] if one != other),
            "{keys:?}"
        );
    }

    #[test]
    fn a_client_ends_before_its_token_and_before_the_credentials_that_signed_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |seconds| now + Duration::from_secs(seconds);
        for (credentials_end, wanted) in [
            (None, after(600)),
            (Some(after(3_600)), after(600)),
            (Some(after(100)), after(70)),
            (Some(after(10)), now - Duration::from_secs(20)),
        ] {
            assert_eq!(usable_until(now, credentials_end), wanted, "{credentials_end:?}");
        }
        assert!(usable_until(now, None) <= now + token::VALID);
    }
}
