//! What helm's own words mean.

use sluice_domain::ids::Fence;
use sluice_lambda::Failure;

/// Whether an API server refused helm because it knew an older fence, and not a newer one.
pub(crate) fn behind(complaints: &str, fence: Fence) -> bool {
    let Some((_, tail)) = complaints.split_once("fence ") else {
        return false;
    };
    let known: String = tail.chars().take_while(char::is_ascii_digit).collect();
    complaints.contains("holds this namespace") && known.parse().is_ok_and(|known: u64| Fence(known) < fence)
}

/// A failure in helm's own words, without its warnings.
pub(crate) fn complaint(what: &str, complaints: &str) -> Failure {
    const PASSES: [&str; 10] = [
        "connection refused",
        "connection reset",
        "i/o timeout",
        "TLS handshake timeout",
        "unexpected EOF",
        "the server is currently unable to handle the request",
        "too many requests",
        "etcdserver: request timed out",
        "etcdserver: leader changed",
        "Unauthorized",
    ];
    let lines = complaints
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("level=") && !line.starts_with("WARNING:"));
    let text: String = lines.collect::<Vec<_>>().join(" ");
    let text = text.strip_prefix("Error: ").unwrap_or(&text);
    let said = if text.is_empty() {
        format!("{what}, and does not say why")
    } else {
        format!("{what}: {}", text.chars().take(1_500).collect::<String>())
    };
    let said = format!("{said}{}", advice(complaints));
    if PASSES.iter().any(|passes| complaints.contains(passes)) {
        Failure::transient(said)
    } else {
        Failure::refused(said)
    }
}

/// What a person can do about it.
fn advice(complaints: &str) -> &'static str {
    if complaints.contains("no matches for kind") {
        ". A definition (CRD) that the chart needs is not in the cluster, and helm may not write it here, as it is the whole \
         cluster's. Right: somebody who administers the cluster applies it once, `helm show crds <chart> | kubectl apply \
         --server-side -f -`"
    } else if complaints.contains("cannot ") && complaints.contains(" is forbidden: User ") {
        ". Right: give the group sluice:helm what this chart needs in this namespace, as infra/cluster/README.md says"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_lambda::ErrorName;

    #[test]
    fn only_an_api_server_that_knows_an_older_fence_is_behind() {
        let refused =
            |known: u64| format!("admission webhook: fence {known} holds this namespace, not x/fence-6");
        assert!(behind(&refused(5), Fence(6)));
        assert!(!behind(&refused(6), Fence(6)));
        assert!(!behind(&refused(7), Fence(6)));
        assert!(!behind("fence 5 is not above 5", Fence(6)));
        assert!(!behind("", Fence(6)));
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let name = |text: &str| complaint("helm failed", text).name();
        for passes in [
            "Error: dial tcp 10.0.0.1:443: connect: connection refused",
            "net/http: TLS handshake timeout",
        ] {
            assert_eq!(name(passes), ErrorName::Transient, "{passes}");
        }
        for stays in [
            "Error: UPGRADE FAILED: post-upgrade hooks failed",
            "",
            "Error: forbidden",
        ] {
            assert_eq!(name(stays), ErrorName::Refused, "{stays}");
        }
        let said = complaint("helm failed", "level=WARN msg=x\nError: UPGRADE FAILED: no\n").to_string();
        assert_eq!(said, "helm failed: UPGRADE FAILED: no");
    }

    #[test]
    fn a_complaint_says_what_a_person_can_do() {
        for (complaints, wanted) in [
            (
                "Error: unable to build kubernetes objects from release manifest: resource mapping not found for name: \"a\" \
                 namespace: \"\" from \"\": no matches for kind \"Paint\" in version \"charts.sluice.dev/v1\"",
                "helm show crds",
            ),
            (
                "Error: roles.rbac.authorization.k8s.io is forbidden: User \"arn:aws:sts::1:assumed-role/sluice-helm/fence-5\" \
                 cannot create resource \"roles\"",
                "infra/cluster/README.md",
            ),
            ("Error: timed out", "helm failed: timed out"),
        ] {
            let said = complaint("helm failed", complaints).to_string();
            assert!(said.contains(wanted), "{said}");
        }
        let fenced =
            "Error: secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'sluice-helm-fence' denied request";
        assert!(!complaint("helm failed", fenced).to_string().contains("Right:"));
    }
}
