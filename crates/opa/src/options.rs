//! The options of policies, with their defaults and the reasons for them.

use std::time::Duration;

/// The options of a [`ZonePolicies`](crate::ZonePolicies).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyOptions {
    /// The time between safety polls of a zone, varied by a tenth. 60 seconds by default: a lost
    /// invalidation is found by then.
    pub poll_interval: Duration,
    /// The time limit of a load. 10 seconds by default: a slow database still answers.
    pub load_timeout: Duration,
    /// The time limit of an engine that compiles or pushes a bundle. 30 seconds by default: a large
    /// bundle takes many requests to push.
    pub prepare_timeout: Duration,
    /// The first and the longest pause between failed attempts. 50 ms and 5 seconds by default: a
    /// replica catches up in between, and an outage is not made worse.
    pub retry: (Duration, Duration),
    /// Requests are denied if the policy was last confirmed as current longer ago than this. 5
    /// minutes by default: several safety polls may fail.
    pub deny_after_unconfirmed: Duration,
    /// Requests are denied if an invalidation that is not in force was published longer ago than
    /// this. 60 seconds by default, as for a stale revocation state.
    pub deny_after_invalidation: Duration,
    /// The effect of a bundle that does not compile.
    pub broken_bundle: InvalidBundle,
    /// A zone without requests for this time is removed, to free its memory. 15 minutes by default.
    pub idle: Duration,
    /// The maximum number of zones. Requests of further zones are denied. 1,024 by default, to
    /// bound memory.
    pub max_zones: usize,
    /// The maximum time that a zone's first requests wait for its policy. 5 seconds by default:
    /// clients usually wait that long.
    pub first_load_wait: Duration,
    /// Accepts a bundle without a digest. Off by default. A bundle with a wrong digest is never
    /// accepted.
    pub insecure_accept_undigested: bool,
}

/// The effect of a bundle that does not compile. The bounds on age apply in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidBundle {
    /// The last valid bundle stays in use. The log and the zone's status have the error.
    KeepLastGood,
    /// Every request is denied until a bundle compiles.
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
            broken_bundle: InvalidBundle::KeepLastGood,
            idle: Duration::from_secs(15 * 60),
            max_zones: 1024,
            first_load_wait: Duration::from_secs(5),
            insecure_accept_undigested: false,
        }
    }
}
