//! The settings of a state: how long it remembers, how stale it may be, and when it assumes a loss.

use std::time::Duration;

use crate::clock::UnixSeconds;
use crate::limits;

/// The settings of a state: how long it remembers, how stale it may be, and when it assumes a loss.
///
/// ```
/// use caracal_revocation_state::Options;
/// use std::time::Duration;
/// let strict = Options::strict();
/// assert_eq!(strict.deny_after, Duration::from_secs(5));
/// let mut hasty = Options::default();
/// hasty.deny_after = Duration::from_millis(50);
/// assert_eq!(hasty.check().unwrap_err().setting(), "deny_after");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The time for which an entry is kept after the last message about it. 24 hours by default.
    /// Less than 65 minutes counts as 65, because an entry must outlast [`LONGEST_LIFETIME`] and
    /// the leeway.
    ///
    /// [`LONGEST_LIFETIME`]: crate::LONGEST_LIFETIME
    pub memory: Duration,
    /// The staleness beyond which every verdict is [`Verdict::Unknown`]. 60 seconds by default, 5
    /// in strict mode; at least [`Options::SHORTEST_BOUND`].
    ///
    /// [`Verdict::Unknown`]: crate::Verdict::Unknown
    pub deny_after: Duration,
    /// The staleness beyond which the view is reported as late. 5 seconds by default, 3 in strict
    /// mode; three fifths of [`Options::deny_after`] if it is not smaller than that.
    pub warn_after: Duration,
    /// The largest assumed difference between the clocks of Postgres, which dates tokens, and of
    /// Redis. The horizon lies this far beyond the end of a gap. 5 seconds by default, 60 in strict
    /// mode.
    pub horizon_margin: Duration,
    /// The largest number of anchors and sessions: 5,000,000 by default, which take about 150 MB. A
    /// full index evicts nothing and drops new entries. Every verdict is then [`Verdict::Unknown`],
    /// except on tokens that are known to be revoked, until an eighth of the room is free again.
    /// Tokens issued before that time are then denied as after a loss.
    ///
    /// [`Verdict::Unknown`]: crate::Verdict::Unknown
    pub max_entries: usize,
    /// Treats any history that cannot be proven complete as lost.
    ///
    /// By default, a restart or failover that may have lost messages is only counted and logged. So
    /// is a stream that is too young or too empty for a proof. In strict mode each of these raises
    /// the horizon. So does every start of a process, because a new reader cannot detect losses
    /// before its start.
    ///
    /// The horizon then also covers records that were re-issued within two minutes after it, and
    /// all tokens of two or more hops until it ends. A second source of truth clears it. Without
    /// one, every start and every failover denies all tokens for some minutes.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: limits::MEMORY,
            deny_after: limits::DENY_AFTER,
            warn_after: limits::WARN_AFTER,
            horizon_margin: limits::HORIZON_MARGIN,
            max_entries: limits::MAX_ENTRIES,
            strict: false,
        }
    }
}

impl Options {
    /// The smallest bound that can be kept: a read waits at least 100 ms and its answer may take
    /// another 100 ms. A bound spans two reads in a row, and one of them may fail.
    pub const SHORTEST_BOUND: Duration = limits::SHORTEST_BOUND;

    /// Returns options that treat any history that cannot be proven complete as lost.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            deny_after: limits::STRICT_DENY_AFTER,
            warn_after: limits::STRICT_WARN_AFTER,
            horizon_margin: limits::STRICT_HORIZON_MARGIN,
            strict: true,
            ..Self::default()
        }
    }

    /// Corrects values that contradict each other: warnings come before denials, and the memory
    /// outlasts every mandate.
    pub(crate) fn in_order(mut self) -> Self {
        self.memory = self.memory.max(limits::SHORTEST_MEMORY);
        if self.warn_after >= self.deny_after {
            self.warn_after = (self.deny_after * 3 / 5).max(Self::SHORTEST_BOUND);
        }
        self
    }

    /// Returns the highest `iat` that is denied for a horizon at `second`.
    pub(crate) const fn height(&self, second: UnixSeconds, has_earlier_hops: bool) -> UnixSeconds {
        match (self.strict, has_earlier_hops) {
            (false, _) => second,
            (true, false) => second.later_by(limits::REISSUED),
            // The lost messages may include a suspension of an earlier hop, which concerns tokens
            // of any age. When the horizon ends, no token from before the gap is alive.
            (true, true) => UnixSeconds::MAX,
        }
    }

    /// Checks that the bounds can be kept.
    ///
    /// # Errors
    ///
    /// [`BoundError`] names the bound that cannot be kept.
    pub fn check(&self) -> Result<(), BoundError> {
        BoundError::check("deny_after", self.deny_after)?;
        BoundError::check("warn_after", self.warn_after)
    }
}

/// A staleness bound that is smaller than [`Options::SHORTEST_BOUND`]: a configuration error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting}: {} ms is too short; the smallest bound is {} ms",
    bound.as_millis(),
    Options::SHORTEST_BOUND.as_millis()
)]
pub struct BoundError {
    setting: &'static str,
    bound: Duration,
}

impl BoundError {
    pub(crate) fn check(setting: &'static str, bound: Duration) -> Result<(), Self> {
        if bound < Options::SHORTEST_BOUND { Err(Self { setting, bound }) } else { Ok(()) }
    }

    /// Returns the name of the setting at fault.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// Returns the configured bound.
    #[must_use]
    pub const fn bound(&self) -> Duration {
        self.bound
    }
}
