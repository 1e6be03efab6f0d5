//! Being in an environment's own account and region.

use crate::{Trouble, trouble};
use aws_config::identity::IdentityCache;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use std::time::SystemTime;

/// An account, by the role that is assumed there, and a region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AwsPlace {
    /// The region; none where it is the one that Sluice runs in.
    pub region: Option<String>,
    /// The ARN of the role that is assumed; none for Sluice's own.
    pub role: Option<String>,
}

/// Why a role could not be assumed.
#[derive(Debug, thiserror::Error)]
pub enum AssumeError {
    /// STS did not do it.
    #[error("role {role} cannot be assumed")]
    Failed {
        /// The role.
        role: String,
        /// What the SDK says.
        #[source]
        source: Box<SdkError<AssumeRoleError>>,
    },
    /// STS answered without credentials.
    #[error("role {role} cannot be assumed: STS answered without credentials")]
    Empty {
        /// The role.
        role: String,
    },
}

impl AssumeError {
    /// What that means for whoever wanted the role.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Failed { source, .. } => trouble(source.as_ref()),
            Self::Empty { .. } => Trouble::Unavailable,
        }
    }
}

impl AwsPlace {
    /// The configuration for calls there, under this name of the role's session, and when its credentials end, where they do
    /// so before our own.
    pub async fn config(
        &self,
        ours: &SdkConfig,
        session: &str,
    ) -> Result<(SdkConfig, Option<SystemTime>), AssumeError> {
        let mut builder = ours.to_builder();
        if let Some(region) = &self.region {
            builder = builder.region(Region::new(region.clone()));
        }
        let config = builder.build();
        let Some(role) = &self.role else {
            return Ok((config, None));
        };
        let credentials = assume(&config, role, session).await?;
        let end = credentials.expiry();
        // Nothing to cache: whoever keeps the configuration keeps these.
        let config = config
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::no_cache())
            .build();
        Ok((config, end))
    }
}

async fn assume(config: &SdkConfig, role: &str, session: &str) -> Result<Credentials, AssumeError> {
    let call = aws_sdk_sts::Client::new(config)
        .assume_role()
        .role_arn(role)
        .role_session_name(session);
    let answer = call.send().await.map_err(|source| AssumeError::Failed {
        role: role.to_owned(),
        source: source.into(),
    })?;
    let found = answer.credentials.ok_or_else(|| AssumeError::Empty {
        role: role.to_owned(),
    })?;
    let end = SystemTime::try_from(*found.expiration()).ok();
    let (id, secret, token) = (found.access_key_id, found.secret_access_key, found.session_token);
    Ok(Credentials::new(
        id,
        secret,
        Some(token),
        end,
        "sluice-assume-role",
    ))
}
