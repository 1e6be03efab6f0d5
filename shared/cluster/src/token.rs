//! The token by which an EKS cluster knows an IAM role.

use crate::error::{ClusterError, chain};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::error::Error;
use std::time::{Duration, SystemTime};

/// How long after `now` a cluster accepts a token (Amazon EKS: 15 minutes; its own client assumes 14).
pub(crate) const VALID: Duration = Duration::from_secs(14 * 60);

/// A token for the cluster: a `GetCallerIdentity` request, signed and not sent, which the cluster sends to learn who
/// signed it. Signing is local.
pub(crate) fn token(
    credentials: Credentials,
    region: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, ClusterError> {
    signed_url(credentials, region, cluster, now)
        .map(|url| format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url)))
        .map_err(|error| ClusterError::Invalid {
            object: format!("the token for cluster {cluster}"),
            message: chain(error.as_ref()),
        })
}

fn signed_url(
    credentials: Credentials,
    region: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    // Clusters ignore it and count 15 minutes, but refuse a token without it.
    settings.expires_in = Some(Duration::from_secs(60));
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let url = format!(
        "https://{}/?Action=GetCallerIdentity&Version=2011-06-15",
        sts_host(region)
    );
    let headers = [("x-k8s-aws-id", cluster)];
    let unsigned = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(unsigned, &parameters)?.into_parts();
    let mut request = http::Request::get(&url)
        .header("x-k8s-aws-id", cluster)
        .body(())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

/// STS's regional endpoint (AWS General Reference, AWS STS endpoints).
fn sts_host(region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("sts.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_a_signed_url_that_names_the_cluster_and_holds_no_secret() {
        let credentials =
            Credentials::new("AKIDEXAMPLE", "very-secret", Some("session".into()), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let token = token(credentials, "eu-west-1", "mc-prod-eks", now).unwrap();
        let encoded = token.strip_prefix("k8s-aws-v1.").unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        assert!(
            url.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity"),
            "{url}"
        );
        for part in [
            "X-Amz-Expires=60",
            "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
            "X-Amz-Date=20270115T080000Z",
        ] {
            assert!(url.contains(part), "{part} in {url}");
        }
        assert!(!url.contains("very-secret"), "{url}");
    }

    #[test]
    fn the_cluster_is_part_of_what_is_signed() {
        let signed = |cluster| {
            let credentials = Credentials::new("AKIDEXAMPLE", "very-secret", None, None, "test");
            token(credentials, "eu-west-1", cluster, SystemTime::UNIX_EPOCH).unwrap()
        };
        assert_ne!(signed("one"), signed("two"));
        assert_eq!(signed("one"), signed("one"));
    }

    #[test]
    fn china_has_a_domain_of_its_own() {
        assert_eq!(sts_host("us-east-1"), "sts.us-east-1.amazonaws.com");
        assert_eq!(sts_host("cn-north-1"), "sts.cn-north-1.amazonaws.com.cn");
    }
}
