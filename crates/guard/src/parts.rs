//! Builds the routes of a configuration, from parts that survive a reload.

use std::sync::OnceLock;

#[cfg(feature = "opa")]
use caracal_revocation::policy::PolicyLayer;
use caracal_revocation::stream::UsedMandates;
use caracal_revocation::{Revocations, Settings, Verifier};

use crate::config::{Config, ConfigError, SingleUse, Tokens};
#[cfg(feature = "opa")]
use crate::policy::Policies;
use crate::routes::{Routes, Shared, SingleUseRecord};

/// The parts that survive a reload of the configuration.
pub(crate) struct Parts {
    settings: Settings,
    revocations: Revocations,
    /// Connected once a configuration needs it.
    used: OnceLock<UsedMandates>,
    #[cfg(feature = "opa")]
    policies: Policies,
}

impl Parts {
    /// Creates the parts of a guard that follows the streams of these settings.
    pub(crate) fn new(settings: &Settings, revocations: Revocations) -> Self {
        Self {
            settings: settings.clone(),
            revocations,
            used: OnceLock::new(),
            #[cfg(feature = "opa")]
            policies: Policies::default(),
        }
    }

    /// Returns the routes of this configuration.
    pub(crate) fn routes(&self, config: &Config) -> Result<Routes, ConfigError> {
        let shared = Shared {
            revocations: self.revocations.clone(),
            verifier: self.verifier(&config.tokens)?,
            profile: config.profile,
            single_use: self.single_use(config.single_use),
            #[cfg(feature = "opa")]
            policy: self.policy(config)?,
        };
        Ok(Routes { shared, rules: config.routes.clone(), default: config.default_route.clone() })
    }

    fn verifier(&self, tokens: &Tokens) -> Result<Option<Verifier>, ConfigError> {
        let Tokens::Verified(tokens) = tokens else { return Ok(None) };
        let [first, more @ ..] = tokens.audience.as_slice() else {
            return Err(ConfigError::new("CARACAL_AUDIENCE", "missing"));
        };
        let mut builder = Verifier::builder(&tokens.issuer, &tokens.zone, first);
        for audience in more {
            builder = builder.with_audience(audience);
        }
        builder = builder.with_uses(&tokens.uses);
        if let Some(url) = &tokens.jwks_url {
            builder = builder.with_keys_url(url);
        }
        if tokens.insecure_http_keys {
            builder = builder.insecure_accept_http_keys();
        }
        let verifier = builder.build(&self.revocations);
        verifier.map(Some).map_err(|error| ConfigError::new("CARACAL_ISSUER", error))
    }

    #[cfg(feature = "opa")]
    fn policy(&self, config: &Config) -> Result<Option<PolicyLayer>, ConfigError> {
        match (&config.policy, &config.tokens) {
            (Some(policy), Tokens::Verified(tokens)) => {
                self.policies.layer(policy, tokens, &self.revocations).map(Some)
            }
            // The configuration ensures this. Without a layer, such a route would admit requests.
            _ if config.routes.iter().any(|route| route.policy) => {
                Err(ConfigError::new("policy", "needs policy.folder and verified tokens"))
            }
            _ => Ok(None),
        }
    }

    fn single_use(&self, single_use: SingleUse) -> Option<SingleUseRecord> {
        let used = || self.used.get_or_init(|| UsedMandates::new(&self.settings)).clone();
        match single_use {
            SingleUse::Off => None,
            SingleUse::On => Some(SingleUseRecord { used: used(), insecure_fail_open: false }),
            SingleUse::InsecureFailOpen => {
                Some(SingleUseRecord { used: used(), insecure_fail_open: true })
            }
        }
    }
}
