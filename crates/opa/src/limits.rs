//! The fixed limits of this crate and the defaults of its engines, with their reasons.
//! [`PolicyOptions`](crate::PolicyOptions) has the other defaults.

#[cfg(feature = "embedded")]
use std::num::NonZeroU32;
use std::time::Duration;

/// The number of versions of a zone that are remembered as replaced. A source that is further
/// behind is not detected.
pub(crate) const MAX_VERSIONS: usize = 64;

/// The time between two updates of the age gauges. Ages grow without an event.
pub(crate) const GAUGE_INTERVAL: Duration = Duration::from_secs(1);

/// The bytes of one share of the decision cache. Most decisions are smaller and take one share; a
/// larger decision takes several.
pub(crate) const DECISION_SHARE: usize = 4 * 1024;

/// The maximum length of an engine's error text, in characters. The text goes into logs.
#[cfg(any(feature = "embedded", feature = "server"))]
pub(crate) const MAX_ERROR_TEXT: usize = 200;

/// The default time limit of an evaluation in this process. It is short, because the request waits.
#[cfg(feature = "embedded")]
pub(crate) const TIME_LIMIT: Duration = Duration::from_millis(50);

/// The steps of an evaluation between two checks of the time limit: about ten microseconds.
#[cfg(feature = "embedded")]
pub(crate) const STEPS_BETWEEN_CHECKS: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

/// The maximum nesting of rules, statements and expressions together. A thread's stack of 2 MiB has
/// room for 300 levels, also in a debug build.
#[cfg(feature = "embedded")]
pub(crate) const MAX_NESTING: usize = 200;

/// The stack of the compiling thread, in bytes. The compiler recurses as deep as the policy nests.
#[cfg(feature = "embedded")]
pub(crate) const COMPILE_STACK: usize = 64 * 1024 * 1024;

/// The default time limit of a request to an OPA server. The server is on the same machine or in
/// the same network.
#[cfg(feature = "server")]
pub(crate) const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for connecting to an OPA server.
#[cfg(feature = "server")]
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The default number of concurrent requests to an OPA server, and the number of idle connections
/// that are kept.
#[cfg(feature = "server")]
pub(crate) const SERVER_CONNECTIONS: usize = 32;

/// The time that an idle connection to an OPA server is kept.
#[cfg(feature = "server")]
pub(crate) const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// The maximum length of an OPA server's response, in bytes. A list of policies has each policy as
/// text and as a syntax tree, which is many times larger.
#[cfg(feature = "server")]
pub(crate) const MAX_ANSWER: usize = 64 * 1024 * 1024;
