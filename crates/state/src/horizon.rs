//! The horizon: tokens made up to it may be hit by a revocation that was lost.
//!
//! It has two heights. Whatever may be missing raises both. A second source of truth, read after
//! the loss, takes back the one that holds for the tokens that it decides; the other stays until no
//! token can live any more that was made up to it.
//!
//! That is so once both clocks have moved on by [`SHORTEST_MEMORY`]: the wall clock since the
//! horizon's second, the monotonic one since the horizon was raised. Neither would do alone:
//!
//! - A wall clock that jumps forward ends nothing early, since the monotonic one did not jump. Nor
//!   does it admit a token: what is alive is judged by the same reading of that clock.
//! - A wall clock that is set back brings the horizon back, along with the expired tokens that it
//!   would let live again: nothing is erased, each decision compares.
//! - The monotonic clock never runs ahead of real time. If it stands still, as on a machine that
//!   sleeps, the horizon lasts longer than it must, which admits nobody.

use std::sync::PoisonError;

use tokio::sync::watch;

use crate::clock::{Moment, UnixSeconds, nanos};
use crate::limits::SHORTEST_MEMORY;
use crate::sync::{AtomicI64, AtomicU64, Mutex, MutexGuard, Ordering};

/// How often messages may have been lost so far: a number to compare, from
/// [`Revocations::losses`].
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
    /// A signed message was re-cut: anybody who can write to the streams can repeat this.
    Recut,
}

impl LossVersion {
    /// How often messages were missing, or may have been.
    #[must_use]
    pub const fn missing(self) -> u64 {
        self.missing
    }

    /// How often a signed message was re-cut: see [`RevocationsWriter::cover_recut`].
    ///
    /// [`RevocationsWriter::cover_recut`]: crate::RevocationsWriter::cover_recut
    #[must_use]
    pub const fn recut(self) -> u64 {
        self.recut
    }
}

/// A height of the horizon, which threads share; none at first.
#[derive(Debug)]
struct SharedHeight(AtomicI64);

impl SharedHeight {
    /// Stands for none: no token is that old.
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

    /// Returns `true` if it was lower before.
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
    /// For the tokens that a second source of truth decides.
    decidable: SharedHeight,
    /// For those that it does not; never lower than the other.
    kept: SharedHeight,
    /// The monotonic clock, in nanoseconds, before which neither ends.
    ends: AtomicU64,
    /// The three above change only under its lock. Nothing is told under it: whoever is woken may
    /// ask for it.
    losses: Mutex<LossVersion>,
    told: watch::Sender<LossVersion>,
}

impl Horizon {
    /// Raises it to this second, and never lowers it. Returns `true` if it rose for any token.
    pub(crate) fn raise(&self, second: UnixSeconds, now: Moment, cause: Cause) -> bool {
        self.lift([Some(second); 2], now, cause)
    }

    pub(crate) fn export(&self, now: Moment) -> [Option<UnixSeconds>; 2] {
        let _unchanged = self.lock();
        let heights = self.heights(now);
        [heights.second(true), heights.second(false)]
    }

    /// Raises it to where another one was.
    pub(crate) fn import(&self, heights: [Option<UnixSeconds>; 2], now: Moment) {
        self.lift(heights, now, Cause::Missing);
    }

    fn lift(&self, [decidable, kept]: [Option<UnixSeconds>; 2], now: Moment, cause: Cause) -> bool {
        let Some(highest) = decidable.max(kept) else { return false };
        let losses = self.lock();
        let mut rises = Some(highest) > self.kept.load();
        // Each before what a reader asks earlier: whoever sees a height sees that it has not
        // ended, and the height that is never lower.
        if rises {
            let ends = nanos(now.monotonic.saturating_add(SHORTEST_MEMORY));
            self.ends.fetch_max(ends, Ordering::AcqRel);
            self.kept.set(highest);
        }
        if let Some(second) = decidable {
            rises |= self.decidable.raise(second);
        }
        self.count(losses, cause);
        rises
    }

    /// Counts a loss that nothing proves, and so raises nothing.
    pub(crate) fn suspect(&self) {
        self.count(self.lock(), Cause::Missing);
    }

    /// Takes back what holds for decidable tokens, unless there was a loss since `read`.
    pub(crate) fn take_back(&self, read: LossVersion) -> bool {
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
        self.told.send_if_modified(|told| {
            let is_news = told.missing + told.recut < counted.missing + counted.recut;
            if is_news {
                *told = counted;
            }
            is_news
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LossVersion> {
        self.told.subscribe()
    }

    /// Returns `true` if there is one for any token.
    #[inline]
    pub(crate) fn is_any(&self, now: Moment) -> bool {
        // The other is never higher.
        self.kept.load().is_some_and(|kept| !self.is_over(kept, now))
    }

    /// Both heights at this moment.
    #[inline]
    pub(crate) fn heights(&self, now: Moment) -> Heights {
        let decidable = self.decidable.load();
        let kept = self.kept.load();
        if kept.is_none_or(|kept| self.is_over(kept, now)) {
            return Heights { decidable: None, kept: None };
        }
        Heights { decidable, kept }
    }

    /// Returns `true` if no token can live that was issued up to `kept`: see the module.
    fn is_over(&self, kept: UnixSeconds, now: Moment) -> bool {
        UnixSeconds::of(now) > kept.later_by(SHORTEST_MEMORY)
            && nanos(now.monotonic) >= self.ends.load(Ordering::Acquire)
    }
}

/// The horizon at one moment, read before the index is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heights {
    decidable: Option<UnixSeconds>,
    kept: Option<UnixSeconds>,
}

impl Heights {
    /// For a token that a second source of truth decides, or for another.
    #[inline]
    pub(crate) const fn second(self, is_decidable: bool) -> Option<UnixSeconds> {
        if is_decidable { self.decidable } else { self.kept }
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
    fn only_a_reading_begun_after_the_last_loss_takes_it_back() {
        let horizon = Horizon::default();
        horizon.raise(at(10), NOW, Cause::Missing);
        let before = horizon.losses();
        horizon.raise(at(20), NOW, Cause::Missing);
        assert!(!horizon.take_back(before));
        assert_eq!(seconds(&horizon).0, Some(20));
        let after = horizon.losses();
        assert!(horizon.take_back(after));
        assert_eq!(seconds(&horizon), (None, Some(20)));
        horizon.raise(at(5), NOW, Cause::Missing);
        assert_eq!(seconds(&horizon), (Some(5), Some(20)));
    }

    #[test]
    fn it_goes_up_and_each_loss_is_told() {
        let horizon = Horizon::default();
        let mut told = horizon.watch();
        horizon.raise(at(20), NOW, Cause::Missing);
        assert!(told.has_changed().unwrap());
        horizon.raise(at(5), NOW, Cause::Missing);
        assert_eq!(seconds(&horizon), (Some(20), Some(20)));
        horizon.import([None, Some(at(30))], NOW);
        horizon.import([Some(at(10)), Some(at(10))], NOW);
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
        assert!(horizon.raise(at(20), NOW, Cause::Recut));
        assert!(!horizon.raise(at(20), NOW, Cause::Recut));
        assert!(!horizon.raise(at(5), NOW, Cause::Missing));
        assert!(horizon.take_back(horizon.losses()));
        assert!(horizon.raise(at(5), NOW, Cause::Recut), "for those that were taken back");
        assert!(!horizon.raise(at(5), NOW, Cause::Recut));
        assert_eq!((horizon.losses().missing(), horizon.losses().recut()), (1, 4));
    }

    #[test]
    fn ends_once_both_clocks_have_moved_on() {
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
        assert!(!horizon.is_any(later), "so old a loss concerns nobody");
        horizon.raise(at(101), later, Cause::Missing);
        assert_eq!(horizon.export(later), [Some(at(101)); 2]);
    }

    #[test]
    fn never_ends_beyond_the_last_second() {
        let horizon = Horizon::default();
        horizon.raise(at(i64::MAX), NOW, Cause::Missing);
        assert!(horizon.is_any(Moment { monotonic: Duration::MAX, wall: Duration::MAX }));
    }
}
