//! Which certificates a function trusts when it calls AWS.

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;

/// Where a system keeps every certificate that it trusts in one file: Amazon Linux, on which functions run, and Debian.
const BUNDLES: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// The variables by which somebody says what else is to be trusted; the SDK's own client reads them.
const CHOSEN: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A client that trusts what the system trusts, read once from one file; none where there is no such file, or where
/// somebody chose another: the SDK's own client is right then.
///
/// That one reads the file *and* every file of the folder beside it, which for the same certificates three times over was
/// more than half of what a function needed to start.
pub(crate) fn client() -> Option<SharedHttpClient> {
    if CHOSEN.iter().any(|name| std::env::var_os(name).is_some()) {
        return None;
    }
    let bundle = BUNDLES.iter().find_map(|path| read(Path::new(path)))?;
    let store = TrustStore::empty().with_pem_certificate(bundle);
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    let builder = Builder::new().tls_provider(Provider::rustls(CryptoMode::AwsLc));
    Some(builder.tls_context(context).build_https())
}

/// The certificates of a file; none where it has none, or one that cannot be used, which the client would not survive.
fn read(path: &Path) -> Option<Vec<u8>> {
    let bundle = std::fs::read(path).ok()?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bundle) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(bundle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bundle_that_the_client_would_not_survive_is_left_to_the_sdk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.crt");
        let system = BUNDLES
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .unwrap();
        let end = "-----END CERTIFICATE-----\n";
        let one = &system[..system.find(end).unwrap() + end.len()];
        for (text, usable) in [
            (one.to_owned(), true),
            (format!("{one}{one}"), true),
            (
                format!("{one}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
                false,
            ),
            (format!("{one}-----BEGIN CERTIFICATE-----\nMAA=\n{end}"), false),
            (String::new(), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(read(&path).is_some(), usable, "{text}");
        }
        assert!(read(&folder.path().join("none")).is_none());
    }

    #[test]
    fn what_this_system_trusts_is_used() {
        assert!(BUNDLES.iter().any(|path| read(Path::new(path)).is_some()));
        let chosen = CHOSEN.iter().any(|name| std::env::var_os(name).is_some());
        assert_eq!(client().is_none(), chosen);
    }
}
