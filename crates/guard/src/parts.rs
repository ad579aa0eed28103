//! Builds the routes of a configuration, from parts that survive a reload.

use std::sync::OnceLock;

use caracal_revocation::stream::UsedMandates;
use caracal_revocation::{Revocations, Settings, Verifier};

use crate::config::{Config, ConfigError, SingleUse, Tokens};
use crate::routes::{Routes, Shared, SingleUseRecord};

/// The parts that survive a reload of the configuration.
pub(crate) struct Parts {
    settings: Settings,
    revocations: Revocations,
    /// Connected once a configuration needs it.
    used: OnceLock<UsedMandates>,
}

impl Parts {
    /// Creates the parts of a guard that follows the streams of these settings.
    pub(crate) fn new(settings: &Settings, revocations: Revocations) -> Self {
        Self { settings: settings.clone(), revocations, used: OnceLock::new() }
    }

    /// Returns the routes of this configuration.
    pub(crate) fn routes(&self, config: &Config) -> Result<Routes, ConfigError> {
        let shared = Shared {
            revocations: self.revocations.clone(),
            verifier: self.verifier(&config.tokens)?,
            profile: config.profile,
            single_use: self.single_use(config.single_use),
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
