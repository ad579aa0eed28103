//! The limits of this crate that no option sets, and the defaults of its engines, each with its
//! reason. [`PolicyOptions`](crate::PolicyOptions) has the other defaults.

#[cfg(feature = "embedded")]
use std::num::NonZeroU32;
use std::time::Duration;

/// The versions of a zone that are remembered as replaced. A source that lags further behind than
/// this is not noticed.
pub(crate) const MAX_VERSIONS: usize = 64;

/// The time between two updates of the age gauges: ages grow by themselves.
pub(crate) const GAUGE_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of a decision for which it counts as one in the cache: most take less, and a larger one
/// counts as several.
pub(crate) const DECISION_SHARE: usize = 4 * 1024;

/// The longest error text of an engine that is kept, in characters. It goes into logs.
#[cfg(any(feature = "embedded", feature = "server"))]
pub(crate) const MAX_ERROR_TEXT: usize = 200;

/// The default time limit of an evaluation in this process: a decision delays a request.
#[cfg(feature = "embedded")]
pub(crate) const TIME_LIMIT: Duration = Duration::from_millis(50);

/// The steps of an evaluation between two looks at the time: some ten microseconds' worth.
#[cfg(feature = "embedded")]
pub(crate) const STEPS_BETWEEN_CHECKS: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

/// The levels that rules, statements and expressions may nest together. On the stack of a thread,
/// 2 MiB, there is room for 300, also without optimisation.
#[cfg(feature = "embedded")]
pub(crate) const MAX_NESTING: usize = 200;

/// The stack of the thread that compiles, in bytes: compiling recurses as deep as the policy nests.
#[cfg(feature = "embedded")]
pub(crate) const COMPILE_STACK: usize = 64 * 1024 * 1024;

/// The default for how long a request to an OPA server may take. It is near: beside the process, or
/// in the same network.
#[cfg(feature = "server")]
pub(crate) const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long connecting to an OPA server may take.
#[cfg(feature = "server")]
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The default for how many requests to an OPA server run at a time, and how many idle connections
/// are kept for them.
#[cfg(feature = "server")]
pub(crate) const SERVER_CONNECTIONS: usize = 32;

/// How long an idle connection to an OPA server is kept.
#[cfg(feature = "server")]
pub(crate) const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// The longest answer of an OPA server, in bytes. A list of policies holds each of them as text and
/// as a syntax tree many times its size.
#[cfg(feature = "server")]
pub(crate) const MAX_ANSWER: usize = 64 * 1024 * 1024;
