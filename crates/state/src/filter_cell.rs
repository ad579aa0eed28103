//! The current filter, which a writer can replace while readers use it.
//!
//! A reader takes no lock and writes no shared memory. Each thread keeps the filter that it used
//! last, and checks only whether that is still the latest. Reference counts and hazard pointers
//! need a locked instruction, which would cost more than the four lookups and keep the processor
//! from overlapping their cache misses. A thread holds a replaced filter until its next lookup.

use std::cell::RefCell;
use std::sync::PoisonError;

use crate::filter::Filter;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(crate) struct FilterCell {
    /// The stamp of the latest filter.
    stamp: AtomicU64,
    filter: Mutex<Arc<Filter>>,
}

/// The filter that one thread keeps.
#[derive(Debug)]
struct CachedFilter {
    stamp: u64,
    filter: Arc<Filter>,
}

/// The next stamp. Stamps are unique among all filters of this process, also across indexes.
static STAMPS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

#[cfg(not(loom))]
thread_local! {
    static CACHED: RefCell<Option<CachedFilter>> = const { RefCell::new(None) };
}

#[cfg(loom)]
loom::thread_local! {
    static CACHED: RefCell<Option<CachedFilter>> = RefCell::new(None);
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

    /// Installs a filter for all readers. It must hold every key of the previous one.
    pub(crate) fn store(&self, filter: Arc<Filter>) {
        let mut latest = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *latest, filter);
        self.stamp.store(STAMPS.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        // Freed without the lock: a filter takes megabytes.
        drop(latest);
        drop(replaced);
    }

    /// Calls `query` with the latest filter, for a few lookups.
    #[inline]
    pub(crate) fn with<R>(&self, query: impl Fn(&Filter) -> R) -> R {
        // Pairs with the store above: a reader that knows of an entry that only the new filter
        // holds sees the new stamp.
        let stamp = self.stamp.load(Ordering::Acquire);
        let answer = CACHED.try_with(|cached| {
            let cached = cached.try_borrow().ok()?;
            let cached = cached.as_ref().filter(|cached| cached.stamp == stamp)?;
            Some(query(&cached.filter))
        });
        answer.ok().flatten().unwrap_or_else(|| query(&self.fetch()))
    }

    #[cold]
    fn fetch(&self) -> Arc<Filter> {
        let latest = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let (stamp, filter) = (self.stamp.load(Ordering::Relaxed), Arc::clone(&latest));
        drop(latest);
        let cached = CachedFilter { stamp, filter: Arc::clone(&filter) };
        // Keeps nothing while the thread ends, or while an outer lookup borrows the thread's
        // filter.
        let replaced = CACHED.try_with(|place| {
            place.try_borrow_mut().ok().and_then(|mut place| place.replace(cached))
        });
        // Freed outside the borrow: a filter takes megabytes.
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
    fn thread_uses_the_latest_filter_of_each_index() {
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
    fn nested_lookup_uses_the_latest_filter() {
        let latest = FilterCell::new(of(1));
        latest.with(|outer| {
            latest.store(of(2));
            assert!(holds(&latest, 2));
            // Begun before the store: later entries may be missing.
            assert!(outer.may_hold(1) && !outer.may_hold(2));
        });
        assert!(holds(&latest, 2), "the replaced filter is not used again");
    }

    #[test]
    fn replaced_filter_is_freed_after_the_next_lookup() {
        let first = of(1);
        let latest = FilterCell::new(of(0));
        latest.store(Arc::clone(&first));
        assert!(holds(&latest, 1));
        latest.store(of(2));
        assert!(holds(&latest, 2));
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
