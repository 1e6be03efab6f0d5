//! A certificate authority per cluster, and what it signs. Everything is made anew at each start.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A key and what proves whose it is, both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Certificate, or the public key where there is none.
    pub certificate: String,
    /// Private key, PKCS #8.
    pub key: String,
}

/// The authority that a cluster's clients and servers trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority.
    pub fn new(cluster: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{cluster}-ca"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
            .context("making the cluster's authority")?;
        Ok(Self(issuer))
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A server on loopback, also by the names that a cluster's own pods use.
    pub fn server(&self, name: &str) -> Result<Identity> {
        let names = ["127.0.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
        self.sign(
            CertificateParams::new(names)?,
            name,
            None,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// A user of a group.
    pub fn client(&self, user: &str, group: &str) -> Result<Identity> {
        self.sign(
            CertificateParams::default(),
            user,
            Some(group),
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        name: &str,
        group: Option<&str>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        let certificate = params
            .signed_by(&key, &self.0)
            .with_context(|| format!("signing a certificate for {name}"))?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A key pair for the tokens of service accounts.
pub fn signing_key() -> Result<Identity> {
    let key = KeyPair::generate()?;
    Ok(Identity {
        certificate: key.public_key_pem(),
        key: key.serialize_pem(),
    })
}
