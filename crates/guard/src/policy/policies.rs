//! The policies of the zone, which survive a reload of the configuration.

use std::sync::{Mutex, PoisonError};

use caracal_revocation::Revocations;
use caracal_revocation::policy::{OpaEngine, OpaServer, PolicyLayer, RegoEngine, ZonePolicies};

use super::folder::Folder;
use super::input::MandateInput;
use crate::config::{ConfigError, PolicyConfig, VerifierConfig};

/// The policies in use, with the configuration that they were created from.
#[derive(Debug, Default)]
pub(crate) struct Policies(Mutex<Option<(PolicyConfig, String, ZonePolicies)>>);

/// Checks that the folder holds a policy, and that the address of the OPA server can be used. Does
/// not compile the policy.
pub(crate) fn check(policy: &PolicyConfig) -> Result<(), ConfigError> {
    server(policy)?;
    let folder = Folder::new(&policy.folder);
    folder.read().map(drop).map_err(|error| {
        ConfigError::new("policy.folder", format!("{}: {error}", policy.folder.display()))
    })
}

impl Policies {
    /// Returns the layer of routes with a policy. With the same configuration as before, the
    /// policies stay, and are read again: until the new text compiles, the old one decides.
    pub(crate) fn layer(
        &self,
        policy: &PolicyConfig,
        tokens: &VerifierConfig,
        revocations: &Revocations,
    ) -> Result<PolicyLayer, ConfigError> {
        check(policy)?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.take().filter(|(old, zone, _)| old == policy && *zone == tokens.zone);
        let policies = match same {
            Some((.., policies)) => policies,
            None => {
                let (source, revocations) = (Folder::new(&policy.folder), revocations.clone());
                match server(policy)? {
                    Some(server) => {
                        let engine = OpaEngine::new().pushing(&tokens.zone, server);
                        ZonePolicies::new(revocations, source, engine)
                    }
                    None => ZonePolicies::new(revocations, source, RegoEngine::new()),
                }
            }
        };
        *kept = Some((policy.clone(), tokens.zone.clone(), policies.clone()));
        let (loading, zone) = (policies.clone(), tokens.zone.clone());
        tokio::spawn(async move { loading.refresh(&zone).await });
        let audience = tokens.audience.first().map_or("", String::as_str);
        Ok(PolicyLayer::new(policies, MandateInput::new(audience)).in_zone(&tokens.zone))
    }
}

fn server(policy: &PolicyConfig) -> Result<Option<OpaServer>, ConfigError> {
    let server = policy.url.as_deref().map(OpaServer::new).transpose();
    server.map_err(|error| ConfigError::new("policy.url", error))
}
