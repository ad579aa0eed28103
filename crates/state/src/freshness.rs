//! Up to which moment the log is proven complete, and since when that is too long ago.

use std::time::Duration;

use crate::sync::{AtomicU8, AtomicU64, Ordering};
use crate::{Moment, Outage};

/// Why nothing is known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReady {
    /// The history of the streams has not been read to its end.
    Replaying,
    /// Messages arrived, and none was signed with an accepted key: `STREAMS_HMAC_KEY` differs
    /// from the producers'.
    NoSignatureVerifies,
}

impl NotReady {
    /// The reason as a label: `replaying` or `no_signature_verifies`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replaying => "replaying",
            Self::NoSignatureVerifies => "no_signature_verifies",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Replaying => 0,
            Self::NoSignatureVerifies => 1,
        }
    }

    const fn of_code(code: u8) -> Self {
        match code {
            1 => Self::NoSignatureVerifies,
            _ => Self::Replaying,
        }
    }
}

/// The moment of the last proof, written by one follower and read by every request.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    /// Both clocks in nanoseconds, zero for never. They are written one after the other; a
    /// reader that sees only one of them move takes the older for the other, and so at worst
    /// thinks its view older than it is.
    monotonic: AtomicU64,
    wall: AtomicU64,
    not_ready: AtomicU8,
    /// An [`Outage`]'s code.
    outage: AtomicU8,
    /// By the monotonic clock in nanoseconds: since when no message was verified after one that
    /// was not; zero for never.
    failing_since: AtomicU64,
}

impl Freshness {
    /// The log was complete as of this moment. Never goes back.
    pub(crate) fn confirm(&self, as_of: Moment) {
        self.wall.fetch_max(nanos(as_of.wall), Ordering::Release);
        self.monotonic.fetch_max(nanos(as_of.monotonic), Ordering::Release);
    }

    /// Whether that is news.
    pub(crate) fn withhold(&self, why: NotReady) -> bool {
        self.not_ready.swap(why.code(), Ordering::AcqRel) != why.code()
    }

    /// Whether that is news.
    pub(crate) fn set_outage(&self, outage: Option<Outage>) -> bool {
        let code = Outage::code(outage);
        self.outage.swap(code, Ordering::AcqRel) != code
    }

    pub(crate) fn outage(&self) -> Option<Outage> {
        Outage::of_code(self.outage.load(Ordering::Acquire))
    }

    pub(crate) fn set_signatures_fail(&self, since: Option<Moment>) {
        let since = since.map_or(0, |since| nanos(since.monotonic));
        self.failing_since.store(since, Ordering::Release);
    }

    /// For how long signatures have failed, with no success since.
    pub(crate) fn signatures_fail_for(&self, now: Moment) -> Option<Duration> {
        match self.failing_since.load(Ordering::Acquire) {
            0 => None,
            since => Some(now.monotonic.saturating_sub(Duration::from_nanos(since))),
        }
    }

    /// How long ago the last proof was, or why there has been none.
    pub(crate) fn staleness(&self, now: Moment) -> Result<Duration, NotReady> {
        self.staleness_ns(now).map(Duration::from_nanos)
    }

    /// The same in nanoseconds, as a decision counts: [`Moment::elapsed_since`], without what it
    /// costs to make a [`Duration`] of a number and a number of it again.
    #[inline]
    pub(crate) fn staleness_ns(&self, now: Moment) -> Result<u64, NotReady> {
        let monotonic = self.monotonic.load(Ordering::Acquire);
        let wall = self.wall.load(Ordering::Acquire);
        if monotonic == 0 {
            return Err(NotReady::of_code(self.not_ready.load(Ordering::Acquire)));
        }
        let elapsed = nanos(now.monotonic).saturating_sub(monotonic);
        Ok(elapsed.max(nanos(now.wall).saturating_sub(wall)))
    }
}

/// Never zero, which stands for "never"; 2^64 ns are 584 years.
#[inline]
pub(crate) fn nanos(since: Duration) -> u64 {
    let seconds = since.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(since.subsec_nanos())).max(1)
}
