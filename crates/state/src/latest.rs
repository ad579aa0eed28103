//! The filter that readers ask, replaced now and then while they do.
//!
//! A reader takes no lock and changes nothing that threads share: each thread keeps the filter
//! that it asked last, and looks only whether that is still the latest. (A locked instruction, as
//! reference counts and hazard pointers need, would cost more than the four look-ups, and keeps
//! the processor from overlapping their cache misses.) A thread holds on to a replaced filter
//! until it next asks.

use std::cell::Cell;
use std::sync::PoisonError;

use crate::filter::Filter;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(crate) struct Latest {
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
    static KEPT: Cell<Option<Kept>> = const { Cell::new(None) };
}

#[cfg(loom)]
loom::thread_local! {
    static KEPT: Cell<Option<Kept>> = Cell::new(None);
}

impl Latest {
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

    /// The latest filter, for a few look-ups.
    #[inline]
    pub(crate) fn borrow(&self) -> Borrowed {
        // Pairs with the store above: whoever knows of an entry that only the new filter holds
        // sees its stamp.
        let stamp = self.stamp.load(Ordering::Acquire);
        match KEPT.try_with(Cell::take) {
            Ok(Some(kept)) if kept.stamp == stamp => Borrowed(Some(kept)),
            _ => self.fetch(),
        }
    }

    #[cold]
    fn fetch(&self) -> Borrowed {
        let latest = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp.load(Ordering::Relaxed);
        Borrowed(Some(Kept { stamp, filter: Arc::clone(&latest) }))
    }
}

/// The thread's filter, given back at the end.
#[derive(Debug)]
pub(crate) struct Borrowed(Option<Kept>);

impl Borrowed {
    #[inline]
    pub(crate) fn may_hold(&self, fast: u64) -> bool {
        // It is there until it is dropped; were it not, the table would be asked.
        self.0.as_ref().is_none_or(|kept| kept.filter.may_hold(fast))
    }
}

impl Drop for Borrowed {
    #[inline]
    fn drop(&mut self) {
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| kept.set(self.0.take()));
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

    #[test]
    fn a_thread_asks_the_latest_filter_of_the_index_at_hand() {
        let (one, other) = (Latest::new(of(1)), Latest::new(of(2)));
        for _ in 0..3 {
            assert!(one.borrow().may_hold(1) && !one.borrow().may_hold(2));
            assert!(other.borrow().may_hold(2) && !other.borrow().may_hold(1));
        }
        one.store(of(3));
        assert!(one.borrow().may_hold(3) && !one.borrow().may_hold(1));
        assert!(other.borrow().may_hold(2));
    }

    #[test]
    fn a_look_up_within_a_look_up_has_a_filter_too() {
        let latest = Latest::new(of(1));
        let outer = latest.borrow();
        latest.store(of(2));
        assert!(latest.borrow().may_hold(2));
        // Begun before: what came later may be missed.
        assert!(outer.may_hold(1) && !outer.may_hold(2));
        drop(outer);
        assert!(latest.borrow().may_hold(2), "what was given back is not taken for the latest");
    }

    #[test]
    fn a_replaced_filter_is_given_back_once_its_threads_have_asked_again() {
        let first = of(1);
        let latest = Latest::new(of(0));
        latest.store(Arc::clone(&first));
        assert!(latest.borrow().may_hold(1));
        latest.store(of(2));
        assert!(latest.borrow().may_hold(2));
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
