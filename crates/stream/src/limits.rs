//! Limits that several files share, with the reason for each.

use std::time::Duration;

use caracal_revocation_state::Revocations;
use tokio::time::timeout;

use crate::log_error::LogError;

/// The approximate length that streams are trimmed to, as Caracal's own producers do
/// (`MAXLEN ~ 100000`).
pub const MAX_LEN: u64 = 100_000;

/// The longest time for opening a connection: a TLS handshake and a login take several round trips.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest time for an answer, beyond the blocking time of the read.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// The longest time for an answer of a server that is asked in addition to the one that is read: a
/// sentinel, a node of a cluster, or the primary of a replica. The reading waits for the answer,
/// and must stay within the shortest staleness bound.
pub(crate) const SIDE_DEADLINE: Duration = Duration::from_millis(500);

/// The longest time for recording the use of a mandate. Its request waits. Proxies that ask for a
/// decision usually wait for 500 ms, and must get an answer before that.
pub(crate) const USE_DEADLINE: Duration = Duration::from_millis(400);

/// The time after which a server that is not proven to be fresh, or to be the primary, is reported.
/// By default that is before the view counts as late.
pub(crate) const UNPROVEN_AFTER: Duration = Duration::from_secs(3);

/// The shortest interval between two questions whose answers keep the view fresh: a quarter of the
/// shortest bound that [`Options`](caracal_revocation_state::Options) accept.
pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Returns the interval between two questions whose answers keep the view fresh: a quarter of the
/// shortest staleness bound, so that one answer may be late or lost. At most `longest`.
pub(crate) fn interval(revocations: &Revocations, longest: Duration) -> Duration {
    (revocations.shortest_bound() / 4).clamp(SHORTEST_INTERVAL, longest)
}

/// Waits for an answer until the deadline. Nothing else detects a server that hangs.
pub(crate) async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    timeout(deadline, answer).await.unwrap_or(Err(LogError::Deadline(deadline)))
}
