//! How policies are loaded, how old they may be, and what happens when one does not compile.

use std::time::Duration;

/// The options of a [`ZonePolicies`](crate::ZonePolicies).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyOptions {
    /// Between safety polls of a zone, give or take a tenth. 60 seconds by default.
    pub poll_interval: Duration,
    /// How long a source may take. 10 seconds by default.
    pub load_timeout: Duration,
    /// How long an engine may take to compile or push a bundle. 30 seconds by default.
    pub prepare_timeout: Duration,
    /// The first and the longest pause between failed attempts. 50 ms and 5 seconds by default.
    pub retry: (Duration, Duration),
    /// Deny when the policy was last confirmed current longer ago. 5 minutes by default.
    pub deny_after_unconfirmed: Duration,
    /// Deny when an invalidation that is not in force was published longer ago. 60 seconds by
    /// default.
    pub deny_after_invalidation: Duration,
    /// What a bundle that does not compile leads to.
    pub broken_bundle: BrokenBundle,
    /// A zone that no request asked for in so long leaves. 15 minutes by default.
    pub idle: Duration,
    /// Beyond so many zones, requests of others are denied. 1,024 by default.
    pub max_zones: usize,
    /// How long a zone's first requests wait for its policy. 5 seconds by default.
    pub first_load_wait: Duration,
    /// Whether a bundle without a digest is used. Off by default; one with a wrong digest never
    /// is.
    pub insecure_accept_undigested: bool,
}

/// What a bundle that does not compile leads to, as long as no bound on age denies anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenBundle {
    /// The last good one keeps serving, with an error in the log and in the status.
    KeepLastGood,
    /// Everything is denied until a bundle compiles.
    Deny,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(60),
            load_timeout: Duration::from_secs(10),
            prepare_timeout: Duration::from_secs(30),
            retry: (Duration::from_millis(50), Duration::from_secs(5)),
            deny_after_unconfirmed: Duration::from_secs(5 * 60),
            deny_after_invalidation: Duration::from_secs(60),
            broken_bundle: BrokenBundle::KeepLastGood,
            idle: Duration::from_secs(15 * 60),
            max_zones: 1024,
            first_load_wait: Duration::from_secs(5),
            insecure_accept_undigested: false,
        }
    }
}
