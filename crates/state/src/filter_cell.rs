//! The filter that readers ask, replaced now and then while they do.
//!
//! A reader takes no lock and changes nothing that threads share: each thread keeps the filter
//! that it asked last, and looks only whether that is still the latest. (A locked instruction, as
//! reference counts and hazard pointers need, would cost more than the four look-ups, and keeps
//! the processor from overlapping their cache misses.) A thread holds on to a replaced filter
//! until it next asks.

use std::cell::RefCell;
use std::sync::PoisonError;

use crate::filter::Filter;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(crate) struct FilterCell {
    /// Of the latest filter.
    stamp: AtomicU64,
    filter: Mutex<Arc<Filter>>,
}

/// A filter as one thread has it.
#[derive(Debug)]
struct Kept {
    stamp: u64,
    filter: Arc<Filter>,
}

/// No two filters in this process have the same stamp, of whatever index.
static STAMPS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

#[cfg(not(loom))]
thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

#[cfg(loom)]
loom::thread_local! {
    static KEPT: RefCell<Option<Kept>> = RefCell::new(None);
}

impl FilterCell {
    pub(crate) fn new(filter: Arc<Filter>) -> Self {
        Self {
            stamp: AtomicU64::new(STAMPS.fetch_add(1, Ordering::Relaxed)),
            filter: Mutex::new(filter),
        }
    }

    pub(crate) fn load(&self) -> Arc<Filter> {
        Arc::clone(&self.filter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From here on every reader asks this one, which must hold all that the one before does.
    pub(crate) fn store(&self, filter: Arc<Filter>) {
        let mut latest = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *latest, filter);
        self.stamp.store(STAMPS.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        // Megabytes are given back without the lock.
        drop(latest);
        drop(replaced);
    }

    /// Hands the latest filter to `look`, for a few look-ups.
    #[inline]
    pub(crate) fn with<R>(&self, look: impl Fn(&Filter) -> R) -> R {
        // Pairs with the store above: whoever knows of an entry that only the new filter holds
        // sees its stamp.
        let stamp = self.stamp.load(Ordering::Acquire);
        let answer = KEPT.try_with(|kept| {
            let kept = kept.try_borrow().ok()?;
            let kept = kept.as_ref().filter(|kept| kept.stamp == stamp)?;
            Some(look(&kept.filter))
        });
        answer.ok().flatten().unwrap_or_else(|| look(&self.fetch()))
    }

    #[cold]
    fn fetch(&self) -> Arc<Filter> {
        let latest = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let (stamp, filter) = (self.stamp.load(Ordering::Relaxed), Arc::clone(&latest));
        drop(latest);
        let kept = Kept { stamp, filter: Arc::clone(&filter) };
        // A thread that ends keeps nothing, nor does one that is asking another filter.
        let replaced = KEPT.try_with(|place| {
            place.try_borrow_mut().ok().and_then(|mut place| place.replace(kept))
        });
        // Megabytes are given back outside.
        drop(replaced);
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: u64) -> Arc<Filter> {
        let filter = Arc::new(Filter::for_keys(1));
        filter.add(key);
        filter
    }

    fn holds(latest: &FilterCell, key: u64) -> bool {
        latest.with(|filter| filter.may_hold(key))
    }

    #[test]
    fn a_thread_asks_the_latest_filter_of_the_index_at_hand() {
        let (one, other) = (FilterCell::new(of(1)), FilterCell::new(of(2)));
        for _ in 0..3 {
            assert!(holds(&one, 1) && !holds(&one, 2));
            assert!(holds(&other, 2) && !holds(&other, 1));
        }
        one.store(of(3));
        assert!(holds(&one, 3) && !holds(&one, 1));
        assert!(holds(&other, 2));
    }

    #[test]
    fn a_look_up_within_a_look_up_has_a_filter_too() {
        let latest = FilterCell::new(of(1));
        latest.with(|outer| {
            latest.store(of(2));
            assert!(holds(&latest, 2));
            // Begun before: what came later may be missed.
            assert!(outer.may_hold(1) && !outer.may_hold(2));
        });
        assert!(holds(&latest, 2), "what was given back is not taken for the latest");
    }

    #[test]
    fn a_replaced_filter_is_given_back_once_its_threads_have_asked_again() {
        let first = of(1);
        let latest = FilterCell::new(of(0));
        latest.store(Arc::clone(&first));
        assert!(holds(&latest, 1));
        latest.store(of(2));
        assert!(holds(&latest, 2));
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
