//! The time of the last completeness proof, and the reasons why the view is not usable yet.

use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::{Moment, nanos};
use crate::outage::OutageCause;
use crate::staleness::Staleness;
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Mutex, Ordering};

/// The reason why the view is not usable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReady {
    /// The history of the streams has not been read to its end.
    Replaying,
    /// Messages arrived, and none was signed with an accepted key: `STREAMS_HMAC_KEY` differs from
    /// the producers' key.
    NoSignatureVerifies,
    /// None of Caracal's streams exists: `REDIS_URL` names another server or database, or this one
    /// was never provisioned.
    NotProvisioned,
}

/// The stored value of a proven view: no [`NotReady`] has this code.
const READY: u8 = u8::MAX;

impl NotReady {
    /// Returns the reason as a label: `replaying`, `no_signature_verifies` or `not_provisioned`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replaying => "replaying",
            Self::NoSignatureVerifies => "no_signature_verifies",
            Self::NotProvisioned => "not_provisioned",
        }
    }

    /// Returns the action that ends this state; it names the setting.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Replaying => "wait: the history of the streams is being read",
            Self::NoSignatureVerifies => {
                "set STREAMS_HMAC_KEY, or STREAMS_HMAC_KEY_PREVIOUS, to the producers' key"
            }
            Self::NotProvisioned => {
                "set REDIS_URL (its host and its database number), or REDIS_HOST, REDIS_SENTINELS or \
                 REDIS_CLUSTER_NODES, to Caracal's Redis; if it is new, run caracal-streams provision"
            }
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Replaying => 0,
            Self::NoSignatureVerifies => 1,
            Self::NotProvisioned => 2,
        }
    }

    const fn of_code(code: u8) -> Self {
        match code {
            1 => Self::NoSignatureVerifies,
            2 => Self::NotProvisioned,
            _ => Self::Replaying,
        }
    }
}

/// The time of the newest proof, written by one follower and read by every request.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    /// Both clocks in nanoseconds. The wall clock is written first and read last. A reader in
    /// between may get the wall clock of a newer proof, and then also sees everything that this
    /// proof covers. A mixed pair can therefore only make the view look older than it is.
    monotonic: AtomicU64,
    wall: AtomicU64,
    /// The monotonic clock of the newest proof, locked while the two above are written; no reader
    /// takes the lock. It is a separate copy because loom misses orders in which a thread loads a
    /// value that it then stores.
    newest: Mutex<Duration>,
    /// A [`NotReady`]'s code, or [`READY`].
    not_ready: AtomicU8,
    /// An [`OutageCause`]'s code.
    outage: AtomicU8,
    /// `true` while messages arrive that no accepted key has signed.
    signatures_fail: AtomicBool,
}

impl Freshness {
    /// Records that the log was complete at this moment. Keeps both clocks of the newest proof by
    /// the monotonic clock, because the wall clock may have been set back since an older proof.
    pub(crate) fn confirm(&self, as_of: Moment) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if as_of.monotonic >= *newest {
            *newest = as_of.monotonic;
            self.wall.store(nanos(as_of.wall), Ordering::Release);
            self.monotonic.store(nanos(as_of.monotonic), Ordering::Release);
        }
        self.not_ready.store(READY, Ordering::Release);
    }

    /// Makes the view unknown until the next [`Freshness::confirm`]. Returns `true` if the reason
    /// changed.
    pub(crate) fn set_not_ready(&self, why: NotReady) -> bool {
        self.not_ready.swap(why.code(), Ordering::AcqRel) != why.code()
    }

    /// Records the cause of an outage, or its end. Returns `true` if the value changed.
    pub(crate) fn set_outage(&self, outage: Option<OutageCause>) -> bool {
        let code = OutageCause::code(outage);
        self.outage.swap(code, Ordering::AcqRel) != code
    }

    pub(crate) fn outage(&self) -> Option<OutageCause> {
        OutageCause::of_code(self.outage.load(Ordering::Acquire))
    }

    /// Records whether signatures fail. Returns `true` if the value changed.
    pub(crate) fn set_signatures_fail(&self, fail: bool) -> bool {
        self.signatures_fail.swap(fail, Ordering::AcqRel) != fail
    }

    pub(crate) fn signatures_fail(&self) -> bool {
        self.signatures_fail.load(Ordering::Acquire)
    }

    /// Returns the time since the last proof, or the reason why the view is not usable yet.
    pub(crate) fn staleness(&self, now: Moment) -> Result<Duration, NotReady> {
        self.staleness_at(now).map(Staleness::duration)
    }

    /// Returns the time since the last proof by [`Moment::elapsed_since`], in the form that a
    /// decision compares, or the reason why there is none.
    #[inline]
    pub(crate) fn staleness_at(&self, now: Moment) -> Result<Staleness, NotReady> {
        let not_ready = self.not_ready.load(Ordering::Acquire);
        if not_ready != READY {
            return Err(NotReady::of_code(not_ready));
        }
        let monotonic = self.monotonic.load(Ordering::Acquire);
        let wall = self.wall.load(Ordering::Acquire);
        let elapsed = nanos(now.monotonic).saturating_sub(monotonic);
        Ok(Staleness::from_nanos(elapsed.max(nanos(now.wall).saturating_sub(wall))))
    }
}
