//! The age of a view, the bound on it, and the one comparison of both.

use std::time::Duration;

use crate::clock::nanos;

/// The age of the newest proof that the log is complete. Stored in nanoseconds, because converting
/// a [`Duration`] in each decision would cost time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Staleness(u64);

/// The largest age of a view on which requests are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound(u64);

impl Staleness {
    #[inline]
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns `true` if a view of this age is too old for the bound. Readiness, verdicts and cuts
    /// all call this.
    #[inline]
    pub(crate) const fn exceeds(self, bound: Bound) -> bool {
        self.0 > bound.0
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Bound {
    /// A bound that no age exceeds.
    pub(crate) const NONE: Self = Self(u64::MAX);

    #[inline]
    pub(crate) fn new(longest: Duration) -> Self {
        Self(nanos(longest))
    }

    /// Returns the time that is left until a view of this age exceeds the bound.
    pub(crate) const fn left(self, staleness: Staleness) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(staleness.0))
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}
