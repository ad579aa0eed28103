//! The horizon: a time up to which revocations may have been lost, so tokens issued up to it are
//! denied.
//!
//! There are two horizons. Any possible loss raises both. Reading a second source of truth after
//! the loss clears the one for the tokens that this source decides. The other one ends when no
//! token that was issued up to it can still be alive.
//!
//! A horizon ends once both clocks have moved on by [`SHORTEST_MEMORY`]: the wall clock since the
//! horizon's second, the monotonic clock since the horizon was raised. One clock alone is not
//! enough:
//!
//! - A wall clock that jumps forward ends nothing early, because the monotonic clock did not jump.
//!   It admits no extra token either: `exp` is checked with the same reading of the wall clock.
//! - A wall clock that is set back brings the horizon back, together with the expired tokens that
//!   become valid again: nothing is erased, each decision compares.
//! - The monotonic clock never runs ahead of real time. If it stops, as on a suspended machine, the
//!   horizon lasts longer than needed, which denies more and never less.

use std::sync::PoisonError;

use tokio::sync::watch;

use crate::clock::{Moment, UnixSeconds, nanos};
use crate::limits::SHORTEST_MEMORY;
use crate::sync::{AtomicI64, AtomicU64, Mutex, MutexGuard, Ordering};

/// A version that changes with each possible loss of messages: from [`Revocations::losses`].
///
/// [`Revocations::losses`]: crate::Revocations::losses
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossVersion {
    missing: u64,
    recut: u64,
}

/// The cause of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Messages are missing, or may be.
    Missing,
    /// A signed message was re-cut (contract, "Ambiguous messages"). Any writer to the streams can
    /// repeat this.
    Recut,
}

impl LossVersion {
    /// Returns how often messages were missing, or may have been.
    #[must_use]
    pub const fn missing(self) -> u64 {
        self.missing
    }

    /// Returns how often a signed message was re-cut: see [`RevocationsWriter::cover_recut`].
    ///
    /// [`RevocationsWriter::cover_recut`]: crate::RevocationsWriter::cover_recut
    #[must_use]
    pub const fn recut(self) -> u64 {
        self.recut
    }
}

/// A horizon that threads share; unset at first.
#[derive(Debug)]
struct SharedHeight(AtomicI64);

impl SharedHeight {
    /// The stored value of an unset horizon: no token is that old.
    const NONE: i64 = i64::MIN;

    #[inline]
    fn load(&self) -> Option<UnixSeconds> {
        Self::height(self.0.load(Ordering::Acquire))
    }

    fn set(&self, height: UnixSeconds) {
        self.0.store(height.get(), Ordering::Release);
    }

    fn clear(&self) {
        self.0.store(Self::NONE, Ordering::Release);
    }

    /// Raises the horizon to `height`. Returns `true` if it was lower before.
    fn raise(&self, height: UnixSeconds) -> bool {
        self.0.fetch_max(height.get(), Ordering::AcqRel) < height.get()
    }

    #[inline]
    fn height(stored: i64) -> Option<UnixSeconds> {
        (stored != Self::NONE).then_some(UnixSeconds::new(stored))
    }
}

impl Default for SharedHeight {
    fn default() -> Self {
        Self(AtomicI64::new(Self::NONE))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Horizon {
    /// The horizon for the tokens that a second source of truth decides.
    decidable: SharedHeight,
    /// The horizon for all other tokens; never lower than `decidable`.
    undecidable: SharedHeight,
    /// The reading of the monotonic clock, in nanoseconds, before which neither horizon ends.
    ends: AtomicU64,
    /// The lock of the three fields above. Watchers are woken after it is released, because a
    /// watcher may take it again.
    losses: Mutex<LossVersion>,
    reported: watch::Sender<LossVersion>,
}

impl Horizon {
    /// Raises both horizons to `second`, and never lowers one. Returns `true` if either rose.
    pub(crate) fn raise(&self, second: UnixSeconds, now: Moment, cause: Cause) -> bool {
        self.raise_each([Some(second); 2], now, cause)
    }

    pub(crate) fn export(&self, now: Moment) -> [Option<UnixSeconds>; 2] {
        let _unchanged = self.lock();
        let heights = self.heights(now);
        [heights.second(true), heights.second(false)]
    }

    /// Raises the horizons to those that [`Self::export`] returned in an earlier process. Counts a
    /// loss.
    pub(crate) fn import(&self, heights: [Option<UnixSeconds>; 2], now: Moment) {
        self.raise_each(heights, now, Cause::Missing);
    }

    fn raise_each(
        &self,
        [decidable, undecidable]: [Option<UnixSeconds>; 2],
        now: Moment,
        cause: Cause,
    ) -> bool {
        let Some(highest) = decidable.max(undecidable) else { return false };
        let losses = self.lock();
        let mut rises = Some(highest) > self.undecidable.load();
        // This order matters to readers without the lock: one that sees `undecidable` also sees its
        // end, and one that sees `decidable` also sees `undecidable`.
        if rises {
            let ends = nanos(now.monotonic.saturating_add(SHORTEST_MEMORY));
            self.ends.fetch_max(ends, Ordering::AcqRel);
            self.undecidable.set(highest);
        }
        if let Some(second) = decidable {
            rises |= self.decidable.raise(second);
        }
        self.count(losses, cause);
        rises
    }

    /// Counts a suspected loss without raising a horizon.
    pub(crate) fn suspect(&self) {
        self.count(self.lock(), Cause::Missing);
    }

    /// Clears the horizon for decidable tokens, unless a loss was counted since `read`. Returns
    /// `true` if it was cleared.
    pub(crate) fn clear_decidable(&self, read: LossVersion) -> bool {
        let losses = self.lock();
        let is_latest = *losses == read;
        if is_latest {
            self.decidable.clear();
        }
        is_latest
    }

    pub(crate) fn losses(&self) -> LossVersion {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, LossVersion> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, mut losses: MutexGuard<'_, LossVersion>, cause: Cause) {
        match cause {
            Cause::Missing => losses.missing += 1,
            Cause::Recut => losses.recut += 1,
        }
        let counted = *losses;
        drop(losses);
        self.reported.send_if_modified(|reported| {
            let is_new = reported.missing + reported.recut < counted.missing + counted.recut;
            if is_new {
                *reported = counted;
            }
            is_new
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LossVersion> {
        self.reported.subscribe()
    }

    /// Returns `true` if a horizon is set for any token.
    #[inline]
    pub(crate) fn is_any(&self, now: Moment) -> bool {
        // The horizon for decidable tokens is never higher.
        self.undecidable.load().is_some_and(|undecidable| !self.is_over(undecidable, now))
    }

    /// Returns both horizons at this moment.
    #[inline]
    pub(crate) fn heights(&self, now: Moment) -> Heights {
        let decidable = self.decidable.load();
        let undecidable = self.undecidable.load();
        if undecidable.is_none_or(|undecidable| self.is_over(undecidable, now)) {
            return Heights { decidable: None, undecidable: None };
        }
        Heights { decidable, undecidable }
    }

    /// Returns `true` if no token that was issued up to `undecidable` can be alive: see the module.
    fn is_over(&self, undecidable: UnixSeconds, now: Moment) -> bool {
        UnixSeconds::of(now) > undecidable.later_by(SHORTEST_MEMORY)
            && nanos(now.monotonic) >= self.ends.load(Ordering::Acquire)
    }
}

/// Both horizons at one moment, read before the index is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heights {
    decidable: Option<UnixSeconds>,
    undecidable: Option<UnixSeconds>,
}

impl Heights {
    /// Returns the horizon for a token that a second source of truth decides, or for any other.
    #[inline]
    pub(crate) const fn second(self, is_decidable: bool) -> Option<UnixSeconds> {
        if is_decidable { self.decidable } else { self.undecidable }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment =
        Moment { monotonic: Duration::from_secs(1), wall: Duration::from_secs(100) };

    const fn at(second: i64) -> UnixSeconds {
        UnixSeconds::new(second)
    }

    fn seconds(horizon: &Horizon) -> (Option<i64>, Option<i64>) {
        let heights = horizon.heights(NOW);
        let second = |is_decidable| heights.second(is_decidable).map(UnixSeconds::get);
        (second(true), second(false))
    }

    #[test]
    fn only_a_baseline_read_after_the_loss_clears_horizon() {
        let horizon = Horizon::default();
        horizon.raise(at(10), NOW, Cause::Missing);
        let before = horizon.losses();
        horizon.raise(at(20), NOW, Cause::Missing);
        assert!(!horizon.clear_decidable(before));
        assert_eq!(seconds(&horizon).0, Some(20));
        let after = horizon.losses();
        assert!(horizon.clear_decidable(after));
        assert_eq!(seconds(&horizon), (None, Some(20)));
        horizon.raise(at(5), NOW, Cause::Missing);
        assert_eq!(seconds(&horizon), (Some(5), Some(20)));
    }

    #[test]
    fn horizon_only_rises_and_every_loss_notifies() {
        let horizon = Horizon::default();
        let mut reported = horizon.watch();
        horizon.raise(at(20), NOW, Cause::Missing);
        assert!(reported.has_changed().unwrap());
        horizon.raise(at(5), NOW, Cause::Missing);
        assert_eq!(seconds(&horizon), (Some(20), Some(20)));
        horizon.import([None, Some(at(30))], NOW);
        horizon.import([Some(at(10)), Some(at(10))], NOW);
        assert_eq!(seconds(&horizon), (Some(20), Some(30)));
        reported.mark_unchanged();
        let before = horizon.losses();
        horizon.suspect();
        assert!(reported.has_changed().unwrap());
        assert_ne!(horizon.losses(), before);
        assert!(!horizon.clear_decidable(before), "the read may not cover this loss");
    }

    #[test]
    fn every_loss_of_each_cause_is_counted_and_reported() {
        let horizon = Horizon::default();
        let mut reported = horizon.watch();
        let causes = [Cause::Missing, Cause::Missing, Cause::Recut, Cause::Recut, Cause::Recut];
        for (number, cause) in causes.into_iter().cycle().take(15).enumerate() {
            horizon.raise(at(20), NOW, cause);
            assert!(reported.has_changed().unwrap(), "loss {number}");
            assert_eq!(*reported.borrow_and_update(), horizon.losses());
        }
        assert_eq!((horizon.losses().missing(), horizon.losses().recut()), (6, 9));
    }

    #[test]
    fn raise_returns_true_if_either_horizon_rose() {
        let horizon = Horizon::default();
        assert!(horizon.raise(at(20), NOW, Cause::Recut));
        assert!(!horizon.raise(at(20), NOW, Cause::Recut));
        assert!(!horizon.raise(at(5), NOW, Cause::Missing));
        assert!(horizon.clear_decidable(horizon.losses()));
        assert!(horizon.raise(at(5), NOW, Cause::Recut), "the cleared horizon rose again");
        assert!(!horizon.raise(at(5), NOW, Cause::Recut));
        assert_eq!((horizon.losses().missing(), horizon.losses().recut()), (1, 4));
    }

    #[test]
    fn horizon_ends_once_both_clocks_have_moved_on() {
        let after = |monotonic, wall| Moment {
            monotonic: NOW.monotonic + Duration::from_secs(monotonic),
            wall: NOW.wall + Duration::from_secs(wall),
        };
        let lasts = SHORTEST_MEMORY.as_secs();
        let horizon = Horizon::default();
        horizon.raise(at(100), NOW, Cause::Missing);
        for (now, is_any) in [
            (after(lasts, lasts), true),
            (after(lasts - 1, lasts + 1), true),
            (after(0, 7 * 86_400), true),
            (after(7 * 86_400, 0), true),
            (after(lasts, lasts + 1), false),
        ] {
            assert_eq!(horizon.is_any(now), is_any, "{now:?}");
            assert_eq!(horizon.export(now), [Some(at(100)).filter(|_| is_any); 2], "{now:?}");
        }
        let later = after(lasts, lasts + 1);
        horizon.raise(at(50), later, Cause::Missing);
        assert!(!horizon.is_any(later), "no living token is as old as this loss");
        horizon.raise(at(101), later, Cause::Missing);
        assert_eq!(horizon.export(later), [Some(at(101)); 2]);
    }

    #[test]
    fn horizon_at_last_second_never_ends() {
        let horizon = Horizon::default();
        horizon.raise(at(i64::MAX), NOW, Cause::Missing);
        assert!(horizon.is_any(Moment { monotonic: Duration::MAX, wall: Duration::MAX }));
    }
}
