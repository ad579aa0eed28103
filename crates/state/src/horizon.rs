//! The horizon: tokens made up to it may be hit by a revocation that was lost.
//!
//! It has two heights. Whatever may be missing raises both. A second source of truth, read after
//! the loss, takes back the one that holds for the tokens that it decides; the other stays, and
//! moves out of reach as tokens grow old.

use std::sync::PoisonError;

use tokio::sync::watch;

use crate::sync::{AtomicI64, Mutex, MutexGuard, Ordering};

const NONE: i64 = i64::MIN;

/// How often messages may have been lost so far: a number to compare, from
/// [`Revocations::losses`].
///
/// [`Revocations::losses`]: crate::Revocations::losses
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    missing: u64,
    recut: u64,
}

/// What a loss comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Messages are missing, or may be.
    Missing,
    /// A signed message was re-cut: anybody who can write to the streams can repeat this.
    Recut,
}

impl Losses {
    /// How often messages were missing, or may have been.
    #[must_use]
    pub const fn missing(self) -> u64 {
        self.missing
    }

    /// How often a signed message was re-cut: see [`Revocations::cover_recut`].
    ///
    /// [`Revocations::cover_recut`]: crate::Revocations::cover_recut
    #[must_use]
    pub const fn recut(self) -> u64 {
        self.recut
    }
}

/// Seconds since the Unix epoch.
#[derive(Debug)]
pub(crate) struct Horizon {
    /// For the tokens that a second source of truth decides.
    decidable: AtomicI64,
    /// For those that it does not; never lower than the other.
    kept: AtomicI64,
    /// Both heights change only under its lock.
    losses: Mutex<Losses>,
    told: watch::Sender<Losses>,
}

impl Default for Horizon {
    fn default() -> Self {
        Self {
            decidable: AtomicI64::new(NONE),
            kept: AtomicI64::new(NONE),
            losses: Mutex::default(),
            told: watch::Sender::default(),
        }
    }
}

impl Horizon {
    /// Never goes back by this. Returns `true` if it rose for any token.
    pub(crate) fn raise(&self, second: i64, cause: Cause) -> bool {
        self.lift([Some(second); 2], cause)
    }

    pub(crate) fn export(&self) -> [Option<i64>; 2] {
        let _unchanged = self.lock();
        [&self.decidable, &self.kept]
            .map(|height| Some(height.load(Ordering::Acquire)).filter(|second| *second != NONE))
    }

    /// Raises it to where another one was.
    pub(crate) fn import(&self, heights: [Option<i64>; 2]) {
        self.lift(heights, Cause::Missing);
    }

    fn lift(&self, [decidable, kept]: [Option<i64>; 2], cause: Cause) -> bool {
        let Some(highest) = decidable.max(kept) else { return false };
        let mut losses = self.lock();
        // The one that is never lower, first: a reader takes whichever applies to it.
        let mut rises = self.kept.fetch_max(highest, Ordering::AcqRel) < highest;
        if let Some(second) = decidable {
            rises |= self.decidable.fetch_max(second, Ordering::AcqRel) < second;
        }
        self.count(&mut losses, cause);
        rises
    }

    /// A loss that nothing proves, and so raises nothing.
    pub(crate) fn suspect(&self) {
        self.count(&mut self.lock(), Cause::Missing);
    }

    /// Takes back what holds for decidable tokens, unless there was a loss since `read`.
    pub(crate) fn take_back(&self, read: Losses) -> bool {
        let losses = self.lock();
        let is_latest = *losses == read;
        if is_latest {
            self.decidable.store(NONE, Ordering::Release);
        }
        is_latest
    }

    pub(crate) fn losses(&self) -> Losses {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, losses: &mut Losses, cause: Cause) {
        match cause {
            Cause::Missing => losses.missing += 1,
            Cause::Recut => losses.recut += 1,
        }
        self.told.send_replace(*losses);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Losses> {
        self.told.subscribe()
    }

    /// Whether there is one for any token.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        // The other is never higher.
        self.kept.load(Ordering::Acquire) != NONE
    }

    /// Both heights as they stand now.
    #[inline]
    pub(crate) fn heights(&self) -> Heights {
        Heights {
            decidable: self.decidable.load(Ordering::Acquire),
            kept: self.kept.load(Ordering::Acquire),
        }
    }
}

/// The horizon at one moment, read before the index is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heights {
    decidable: i64,
    kept: i64,
}

impl Heights {
    /// For a token that a second source of truth decides, or for another.
    #[inline]
    pub(crate) fn second(self, is_decidable: bool) -> Option<i64> {
        Some(if is_decidable { self.decidable } else { self.kept }).filter(|second| *second != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(horizon: &Horizon) -> (Option<i64>, Option<i64>) {
        let heights = horizon.heights();
        (heights.second(true), heights.second(false))
    }

    #[test]
    fn only_a_reading_begun_after_the_last_loss_takes_it_back() {
        let horizon = Horizon::default();
        horizon.raise(10, Cause::Missing);
        let before = horizon.losses();
        horizon.raise(20, Cause::Missing);
        assert!(!horizon.take_back(before));
        assert_eq!(horizon.heights().second(true), Some(20));
        let after = horizon.losses();
        assert!(horizon.take_back(after));
        assert_eq!(seconds(&horizon), (None, Some(20)));
        horizon.raise(5, Cause::Missing);
        assert_eq!(seconds(&horizon), (Some(5), Some(20)));
    }

    #[test]
    fn it_goes_up_and_each_loss_is_told() {
        let horizon = Horizon::default();
        let mut told = horizon.watch();
        horizon.raise(20, Cause::Missing);
        assert!(told.has_changed().unwrap());
        horizon.raise(5, Cause::Missing);
        assert_eq!(seconds(&horizon), (Some(20), Some(20)));
        horizon.import([None, Some(30)]);
        horizon.import([Some(10), Some(10)]);
        assert_eq!(seconds(&horizon), (Some(20), Some(30)));
        told.mark_unchanged();
        let before = horizon.losses();
        horizon.suspect();
        assert!(told.has_changed().unwrap());
        assert_ne!(horizon.losses(), before);
        assert!(!horizon.take_back(before), "nobody knows whether that was read");
    }

    #[test]
    fn it_tells_whether_it_rose_for_any_token() {
        let horizon = Horizon::default();
        assert!(horizon.raise(20, Cause::Recut));
        assert!(!horizon.raise(20, Cause::Recut));
        assert!(!horizon.raise(5, Cause::Missing));
        assert!(horizon.take_back(horizon.losses()));
        assert!(horizon.raise(5, Cause::Recut), "for those that were taken back");
        assert!(!horizon.raise(5, Cause::Recut));
        assert_eq!((horizon.losses().missing(), horizon.losses().recut()), (1, 4));
    }
}
