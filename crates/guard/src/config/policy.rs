//! The settings of policies.

#[cfg(feature = "opa")]
use std::path::PathBuf;

use super::error::ConfigError;
use super::file;

/// The policy of the zone, for routes that ask for it.
#[cfg(feature = "opa")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyConfig {
    /// The folder with the policy.
    pub(crate) folder: PathBuf,
    /// The OPA server that evaluates it, instead of this process.
    pub(crate) url: Option<String>,
}

/// Without the feature, no policy can be configured.
#[cfg(not(feature = "opa"))]
pub(crate) type PolicyConfig = std::convert::Infallible;

const FOLDER: &str = "CARACAL_GUARD_POLICY_FOLDER";
const URL: &str = "CARACAL_GUARD_POLICY_URL";

/// Resolves the settings. Without a policy, the result is `None`.
pub(super) fn resolve(
    environment: impl Fn(&str) -> Option<String>,
    filed: &file::Policy,
) -> Result<Option<PolicyConfig>, ConfigError> {
    let folder = environment(FOLDER).map(Into::into).or_else(|| filed.folder.clone());
    let url = environment(URL).or_else(|| filed.url.clone());
    match (folder, url) {
        (None, None) => Ok(None),
        #[cfg(not(feature = "opa"))]
        _ => {
            let problem = "needs a caracal-guard that is built with the feature `opa`";
            Err(ConfigError::new("policy", problem))
        }
        #[cfg(feature = "opa")]
        (Some(folder), url) => Ok(Some(PolicyConfig { folder, url })),
        #[cfg(feature = "opa")]
        (None, Some(_)) => {
            let problem = "missing: policy.url names an OPA server, and the policy that this \
                 program sends there is in policy.folder";
            Err(ConfigError::new(FOLDER, problem))
        }
    }
}
