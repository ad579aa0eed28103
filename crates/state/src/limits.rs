//! Every limit and default of this crate, with its reason. Sizes that only shape a data structure
//! are beside it.

use std::time::Duration;

/// The longest lifetime of a mandate, from `iat` to `exp`: a token that lives longer is denied.
///
/// Everything that must outlast a token is measured by it: how long revocations are remembered, how
/// much history is read at a start, and how long a horizon concerns anybody.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How far the clocks of the issuer and of this machine may be apart: a token may be used so long
/// before its `iat` and after its `exp`.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// How long a loss of a message, or the message itself, concerns somebody. A revocation forgotten,
/// or a horizon that ended, earlier could let a living mandate in: the leeway counts at both ends,
/// and entries expire by whole minutes.
pub(crate) const SHORTEST_MEMORY: Duration =
    Duration::from_secs(LONGEST_LIFETIME.as_secs() + 2 * LEEWAY.as_secs() + 3 * 60);

/// How long after a gap a record may be re-issued by approval, and a token be younger than the
/// authority that it stands on.
pub(crate) const REISSUED: Duration = Duration::from_secs(2 * 60);

/// The smallest bound that can be kept: a read waits 100 ms at least, its answer may take 100 ms
/// more, and one of the two reads in a row that a bound spans may fail.
pub(crate) const SHORTEST_BOUND: Duration = Duration::from_millis(400);

/// The default of `Options::memory`: as long as Caracal remembers (contract, "Retention").
pub(crate) const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// The default of `Options::deny_after`: a restart or a failover of Redis takes less.
pub(crate) const DENY_AFTER: Duration = Duration::from_secs(60);

/// `Options::deny_after` in strict mode.
pub(crate) const STRICT_DENY_AFTER: Duration = Duration::from_secs(5);

/// The default of `Options::warn_after`: several reads in a row have failed by then.
pub(crate) const WARN_AFTER: Duration = Duration::from_secs(5);

/// `Options::warn_after` in strict mode: an operator is warned before [`STRICT_DENY_AFTER`].
pub(crate) const STRICT_WARN_AFTER: Duration = Duration::from_secs(3);

/// The default of `Options::horizon_margin`: clocks that are synchronized are closer.
pub(crate) const HORIZON_MARGIN: Duration = Duration::from_secs(5);

/// `Options::horizon_margin` in strict mode: it does not trust that clocks are synchronized.
pub(crate) const STRICT_HORIZON_MARGIN: Duration = Duration::from_secs(60);

/// The default of `Options::max_entries`: about 150 MB.
pub(crate) const MAX_ENTRIES: usize = 5_000_000;

/// The longest enforcement lag that is reported: a token that is first denied later was merely not
/// used before.
pub(crate) const LONGEST_LAG: Duration = Duration::from_secs(60);

/// How long the timekeeper sleeps at most while something has an end: it notices that much later
/// that the machine was suspended, or that its wall clock was set.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How long the timekeeper sleeps while nothing has an end, unless it is woken.
pub(crate) const IDLE_SLEEP: Duration = Duration::from_secs(60 * 60);

/// The first reading of a process's monotonic clock: a snapshot that the process restores may be
/// older than the process.
pub(crate) const HEAD_START: Duration = Duration::from_secs(24 * 60 * 60);
