//! The state of a zone's policy: the served version, its age, and the check that it is usable.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{Moment, PolicyInvalidation};

use crate::ledger::{Ledger, Version};
use crate::{InvalidBundle, PolicyOptions, PreparedPolicy};

/// The state of a zone's policy. The zone's loading task replaces it as a whole.
#[derive(Clone)]
pub(crate) struct ZonePolicyState {
    pub(crate) policy: Option<Arc<LoadedPolicy>>,
    pub(crate) ledger: Ledger,
    pub(crate) created: Moment,
    /// `true` once a load has ended, with or without success.
    pub(crate) tried: bool,
    pub(crate) failure: Option<LoadFailure>,
}

/// A policy that is ready for evaluation: compiled in this process, or on an OPA server.
pub(crate) struct LoadedPolicy {
    pub(crate) version: Version,
    pub(crate) prepared: Arc<dyn PreparedPolicy>,
}

/// The reason why the last attempt to load a zone's policy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadFailure {
    /// The source failed.
    Source,
    /// The source took too long.
    SourceTimeout,
    /// The bundle came without a digest.
    NoDigest,
    /// The bundle's digest is not the digest of its content.
    WrongDigest,
    /// The source returned a version that has been replaced.
    OlderVersion,
    /// The source returned a version that is not the awaited one.
    NotYetAwaited,
    /// The bundle does not compile, or uses something that is not allowed.
    Broken,
    /// The engine is unavailable, or does not have the bundle yet.
    Engine,
}

impl LoadFailure {
    /// Returns the failure as a label, such as `wrong_digest`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::SourceTimeout => "source_timeout",
            Self::NoDigest => "no_digest",
            Self::WrongDigest => "wrong_digest",
            Self::OlderVersion => "older_version",
            Self::NotYetAwaited => "not_yet_awaited",
            Self::Broken => "broken",
            Self::Engine => "engine",
        }
    }
}

/// The reason why a zone's policy cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyUnavailable {
    /// No policy was loaded yet.
    #[error("the zone's policy is not loaded")]
    NotLoaded,
    /// The source returned no policy for the zone.
    #[error("the zone has no policy")]
    NoPolicy,
    /// The newest bundle does not compile, and the options deny requests then.
    #[error("the zone's policy does not compile")]
    Broken,
    /// The policy was last confirmed as current too long ago.
    #[error("the zone's policy was last confirmed as current {age:?} ago")]
    Unconfirmed {
        /// The time since then.
        age: Duration,
    },
    /// An invalidation is not in force and was published too long ago.
    #[error("the zone's policy was invalidated {age:?} ago, and the new one is not loaded")]
    Invalidated {
        /// The time since the publication.
        age: Duration,
    },
    /// The maximum number of zones is in use.
    #[error("too many zones are in use")]
    TooManyZones,
}

/// The status of a zone's policy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ZoneStatus {
    /// The zone.
    pub zone: Arc<str>,
    /// The served version, if any.
    pub version: Option<Arc<str>>,
    /// The digest of the served policy.
    pub digest: Option<Arc<str>>,
    /// The time since the start of the last load that confirmed the policy as current. Without
    /// such a load, the time since the zone's first request.
    pub confirmed_age: Duration,
    /// The time since the publication of the oldest invalidation that is not in force; zero if
    /// every invalidation is in force.
    pub invalidation_age: Duration,
    /// The version that a pending invalidation names, if it names one.
    pub awaited: Option<Arc<str>>,
    /// The reason why the last attempt to load failed, if it did.
    pub trouble: Option<LoadFailure>,
    /// The reason why the policy cannot be used, if it cannot.
    pub unusable: Option<PolicyUnavailable>,
}

impl ZonePolicyState {
    pub(crate) fn new(created: Moment) -> Self {
        let ledger = Ledger::default();
        Self { policy: None, ledger, created, tried: false, failure: None }
    }

    pub(crate) fn confirmed_age(&self, now: Moment) -> Duration {
        now.elapsed_since(self.ledger.confirmed().unwrap_or(self.created))
    }

    pub(crate) fn invalidation_age(
        &self,
        invalidation: &PolicyInvalidation,
        now: Moment,
    ) -> Duration {
        let is_in_force = match self.ledger.in_force() {
            Some(in_force) => in_force >= invalidation.generation,
            None => invalidation.generation == 0,
        };
        if is_in_force {
            return Duration::ZERO;
        }
        let since = [self.ledger.pending_since(), invalidation.published].into_iter().flatten();
        since.map(|since| now.elapsed_since(since)).max().unwrap_or_default()
    }

    /// Returns the policy, if it may be used.
    pub(crate) fn usable(
        &self,
        invalidation: &PolicyInvalidation,
        now: Moment,
        options: &PolicyOptions,
    ) -> Result<&Arc<LoadedPolicy>, PolicyUnavailable> {
        let is_broken = self.ledger.is_broken();
        let Some(policy) = &self.policy else {
            return Err(match (self.ledger.confirmed(), is_broken) {
                (_, true) => PolicyUnavailable::Broken,
                (Some(_), false) => PolicyUnavailable::NoPolicy,
                (None, false) => PolicyUnavailable::NotLoaded,
            });
        };
        if is_broken && options.broken_bundle == InvalidBundle::Deny {
            return Err(PolicyUnavailable::Broken);
        }
        let age = self.confirmed_age(now);
        if age > options.deny_after_unconfirmed {
            return Err(PolicyUnavailable::Unconfirmed { age });
        }
        let age = self.invalidation_age(invalidation, now);
        if age > options.deny_after_invalidation {
            return Err(PolicyUnavailable::Invalidated { age });
        }
        Ok(policy)
    }

    pub(crate) fn status(
        &self,
        zone: &Arc<str>,
        invalidation: &PolicyInvalidation,
        now: Moment,
        options: &PolicyOptions,
    ) -> ZoneStatus {
        let invalidation_age = self.invalidation_age(invalidation, now);
        let is_pending =
            self.ledger.in_force().is_none_or(|in_force| in_force < invalidation.generation);
        ZoneStatus {
            zone: Arc::clone(zone),
            version: self.policy.as_ref().map(|policy| Arc::clone(&policy.version.version)),
            digest: self.policy.as_ref().map(|policy| Arc::clone(&policy.version.digest)),
            confirmed_age: self.confirmed_age(now),
            invalidation_age,
            awaited: invalidation.version.clone().filter(|_| is_pending),
            trouble: self.failure,
            unusable: self.usable(invalidation, now, options).err(),
        }
    }
}

impl std::fmt::Debug for ZonePolicyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZonePolicyState")
            .field("ledger", &self.ledger)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
