//! How long revocations are remembered, how stale a view may be, and what doubt counts as.

use std::time::Duration;

use crate::clock::UnixSeconds;
use crate::limits;

/// How long revocations are remembered, how stale a view may be, and what doubt counts as.
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
    /// How long an entry is remembered after it was last told. 24 hours by default; less
    /// than 65 minutes counts as 65, since an entry must outlast [`LONGEST_LIFETIME`] and the
    /// leeway.
    ///
    /// [`LONGEST_LIFETIME`]: crate::LONGEST_LIFETIME
    pub memory: Duration,
    /// Beyond this staleness every verdict is [`Verdict::Unknown`]. 60 seconds by default, 5 in
    /// strict mode; at least [`Options::SHORTEST_BOUND`].
    ///
    /// [`Verdict::Unknown`]: crate::Verdict::Unknown
    pub deny_after: Duration,
    /// Beyond this staleness an operator should be told. 5 seconds by default, 3 in strict mode;
    /// three fifths of [`Options::deny_after`] if it is no less than that.
    pub warn_after: Duration,
    /// How far the clocks of Postgres, which dates tokens, and Redis may be apart: the horizon
    /// lies so far beyond the end of a hole. 5 seconds by default, 60 in strict mode.
    pub horizon_margin: Duration,
    /// How many anchors and sessions are remembered at most: 5,000,000 by default, which take about
    /// 150 MB. Nothing is forgotten for another: what finds no room makes every verdict
    /// [`Verdict::Unknown`] for whom nothing is known against, until an eighth of the room is free
    /// again; tokens made before then are refused as after a loss.
    ///
    /// [`Verdict::Unknown`]: crate::Verdict::Unknown
    pub max_entries: usize,
    /// Treats any history that cannot be proven complete as lost. By default a restart or failover
    /// that may have lost messages, and a stream too young or empty to be proven, are counted and
    /// said; with this they raise the horizon, and so does each start of a process: of what the
    /// server had lost before, it shows a newcomer nothing. The horizon then also covers, for two
    /// minutes, records that were re-issued and, as long as a mandate lives, tokens of two or more
    /// hops. A second source of truth takes it back; without one every start, and every failover,
    /// refuses all tokens for some minutes.
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
    /// The smallest bound that can be kept: a read waits 100 ms at least, its answer may take
    /// 100 ms more, and one of the two reads in a row that a bound spans may fail.
    pub const SHORTEST_BOUND: Duration = limits::SHORTEST_BOUND;

    /// Options that treat any history that cannot be proven complete as lost.
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

    /// An operator is told before requests are denied, and a memory is never too short.
    pub(crate) fn in_order(mut self) -> Self {
        self.memory = self.memory.max(limits::SHORTEST_MEMORY);
        if self.warn_after >= self.deny_after {
            self.warn_after = (self.deny_after * 3 / 5).max(Self::SHORTEST_BOUND);
        }
        self
    }

    /// Up to which `iat` a token is refused for a horizon at `second`.
    pub(crate) const fn height(&self, second: UnixSeconds, has_earlier_hops: bool) -> UnixSeconds {
        match (self.strict, has_earlier_hops) {
            (false, _) => second,
            (true, false) => second.later_by(limits::REISSUED),
            // A suspension of an earlier hop, which may be among what was lost, concerns tokens of
            // any age: until the horizon ends, when none is left that was alive at the hole.
            (true, true) => UnixSeconds::MAX,
        }
    }

    /// Checks that the bounds can be kept.
    ///
    /// # Errors
    ///
    /// [`BoundError`] names the one that cannot.
    pub fn check(&self) -> Result<(), BoundError> {
        BoundError::check("deny_after", self.deny_after)?;
        BoundError::check("warn_after", self.warn_after)
    }
}

/// A staleness bound that is smaller than [`Options::SHORTEST_BOUND`]: a configuration error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting}: a view cannot be kept within {} ms; {} ms is the shortest bound",
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

    /// The setting at fault.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// The bound that was asked for.
    #[must_use]
    pub const fn bound(&self) -> Duration {
        self.bound
    }
}
