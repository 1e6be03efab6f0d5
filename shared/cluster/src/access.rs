//! Access to a cluster that is handed to another program.

/// What a program other than this one needs to reach a cluster as a session of a role.
#[derive(Clone)]
pub struct ClusterAccess {
    /// The API server: `https://...`.
    pub endpoint: String,
    /// The certificates of its authority, PEM.
    pub certificate: Vec<u8>,
    /// The bearer token, good for 14 minutes from now or for as long as the session, whichever ends first.
    pub token: String,
}

/// Without the token.
impl std::fmt::Debug for ClusterAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterAccess")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_printed_without_its_token() {
        let access = ClusterAccess {
            endpoint: "https://here".to_owned(),
            certificate: vec![],
            token: "k8s-aws-v1.very-secret".to_owned(),
        };
        let printed = format!("{access:?}");
        assert!(
            printed.contains("https://here") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
