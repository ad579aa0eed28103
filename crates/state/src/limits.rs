//! Every limit and default of this crate, with its reason. Sizes that only shape a data structure
//! are next to that structure.

use std::time::Duration;

/// The longest lifetime of a mandate, from `iat` to `exp` (contract, "Retention"). Tokens that live
/// longer are denied.
///
/// Other limits follow from it: how long revocations are remembered, how much history is read at a
/// start, and how long a horizon lasts.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The largest assumed difference between the clocks of the issuer and of this machine. A token may
/// be used this long before its `iat` and after its `exp` (contract, "Mandates").
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The shortest time for which a revocation, or the horizon after a loss, must last. If it ended
/// earlier, a revoked mandate that has not expired could be admitted. The leeway counts at both
/// ends, and entries expire by whole minutes.
pub(crate) const SHORTEST_MEMORY: Duration =
    Duration::from_secs(LONGEST_LIFETIME.as_secs() + 2 * LEEWAY.as_secs() + 3 * 60);

/// The time after a gap within which an approval may re-issue a lost record. A token of it is
/// younger than the authority behind it.
pub(crate) const REISSUED: Duration = Duration::from_secs(2 * 60);

/// The smallest bound that can be kept: a read waits at least 100 ms and its answer may take
/// another 100 ms. A bound spans two reads in a row, and one of them may fail.
pub(crate) const SHORTEST_BOUND: Duration = Duration::from_millis(400);

/// The default of `Options::memory`: Caracal's own retention (contract, "Retention").
pub(crate) const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// The default of `Options::deny_after`: a restart or failover of Redis takes less time.
pub(crate) const DENY_AFTER: Duration = Duration::from_secs(60);

/// The default of `Options::deny_after` in strict mode.
pub(crate) const STRICT_DENY_AFTER: Duration = Duration::from_secs(5);

/// The default of `Options::warn_after`: several reads in a row have failed by then.
pub(crate) const WARN_AFTER: Duration = Duration::from_secs(5);

/// The default of `Options::warn_after` in strict mode: an operator is warned before
/// [`STRICT_DENY_AFTER`].
pub(crate) const STRICT_WARN_AFTER: Duration = Duration::from_secs(3);

/// The default of `Options::horizon_margin`: synchronized clocks differ by less.
pub(crate) const HORIZON_MARGIN: Duration = Duration::from_secs(5);

/// The default of `Options::horizon_margin` in strict mode, which does not assume synchronized
/// clocks.
pub(crate) const STRICT_HORIZON_MARGIN: Duration = Duration::from_secs(60);

/// The default of `Options::max_entries`: about 150 MB.
pub(crate) const MAX_ENTRIES: usize = 5_000_000;

/// The longest enforcement lag that is reported. A token that is first denied later was just not
/// used before.
pub(crate) const LONGEST_LAG: Duration = Duration::from_secs(60);

/// The number of tasks of cut requests that are woken in a row for each core, and the pause after
/// them. Two slow cores need 0.4 ms for the ends of 64 streams over HTTP/2. The ends of one connection
/// share a write, so larger batches cost less, but other requests wait longer behind them.
pub(crate) const WAKES_A_CORE: usize = 32;
pub(crate) const WAKE_PAUSE: Duration = Duration::from_micros(400);

/// The longest sleep of the timekeeper while some request has an end. If the machine is suspended
/// or its wall clock is set, the timekeeper notices within this time.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The longest sleep of the timekeeper while no request has an end, unless it is woken.
pub(crate) const IDLE_SLEEP: Duration = Duration::from_secs(60 * 60);

/// The first reading of a process's monotonic clock. It is not zero because a snapshot that the
/// process restores may be older than the process.
pub(crate) const HEAD_START: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_the_documents_name() {
        for (limit, seconds) in [
            (LONGEST_LIFETIME, 3_600),
            (SHORTEST_MEMORY, 3_600 + 120 + 180),
            (REISSUED, 120),
            (MEMORY, 86_400),
            (IDLE_SLEEP, 3_600),
            (HEAD_START, 86_400),
        ] {
            assert_eq!(limit.as_secs(), seconds);
        }
    }
}
