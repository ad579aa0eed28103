//! Wakes the tasks of cut requests in slices, so that thousands of them do not delay every other
//! task of the runtime.
//!
//! The cut itself is not delayed: a request is marked first, and a task that runs for another
//! reason sees the mark at once. Only the wake-ups are spread. A few are made by the caller. A
//! thread makes the rest and then ends; it needs no runtime, and no waker is lost when a runtime
//! or the state ends first.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::{WAKE_PAUSE, WAKE_SLICE};

#[derive(Debug, Default)]
pub(crate) struct WakePacer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<Pace>);

#[derive(Debug, Default)]
struct Pace {
    /// The wakers that wait for a slice.
    waiting: VecDeque<Waker>,
    /// The start of the slice in which callers wake directly, and the number woken in it.
    slice: Option<(Instant, usize)>,
    /// `true` while a thread wakes the waiting ones.
    has_thread: bool,
}

impl WakePacer {
    /// Wakes these tasks: at once, or in a later slice if many were woken just before.
    pub(crate) fn wake(&self, wakers: impl IntoIterator<Item = Waker>) {
        let mut wakers = wakers.into_iter().peekable();
        if wakers.peek().is_some() {
            self.wake_at(Instant::now(), wakers);
        }
    }

    fn wake_at(&self, now: Instant, wakers: impl Iterator<Item = Waker>) {
        for waker in wakers {
            let mut pace = self.0.lock();
            if pace.may_wake(now) {
                // Outside the lock: a waker's code may cut a request.
                drop(pace);
                waker.wake();
                continue;
            }
            pace.waiting.push_back(waker);
            if !std::mem::replace(&mut pace.has_thread, true) {
                drop(pace);
                self.start_thread();
            }
        }
    }

    fn start_thread(&self) {
        let shared = Arc::clone(&self.0);
        let name = "caracal-wakes".to_owned();
        let started =
            thread::Builder::new().name(name).spawn(move || shared.wake_waiting(WAKE_PAUSE));
        if started.is_err() {
            self.0.wake_waiting(Duration::ZERO);
        }
    }
}

impl Pace {
    /// Returns `true` if the caller may wake one more task now.
    fn may_wake(&mut self, now: Instant) -> bool {
        let (start, woken) = self.slice.unwrap_or((now, 0));
        let is_over = now.saturating_duration_since(start) >= WAKE_PAUSE;
        let (start, woken) = if is_over { (now, 0) } else { (start, woken) };
        let may_wake = woken < WAKE_SLICE;
        self.slice = Some((start, woken + usize::from(may_wake)));
        may_wake
    }
}

impl Shared {
    /// Wakes slice by slice, with this pause before each, until no waker waits.
    fn wake_waiting(&self, pause: Duration) {
        loop {
            thread::sleep(pause);
            let slice: Vec<_> = {
                let mut pace = self.lock();
                if pace.waiting.is_empty() {
                    // Under the lock: the next waiting one starts a new thread.
                    pace.has_thread = false;
                    return;
                }
                let count = pace.waiting.len().min(WAKE_SLICE);
                pace.waiting.drain(..count).collect()
            };
            for waker in slice {
                // A waker of a broken runtime must not keep the others from being woken.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    fn eventually(count: &Count, expected: usize) {
        let start = Instant::now();
        while count.0.load(Ordering::SeqCst) < expected {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?} of {expected}", count.0);
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(count.0.load(Ordering::SeqCst), expected, "each is woken once");
    }

    #[test]
    fn wakes_a_slice_at_once_and_the_rest_later() {
        let (pacer, count) = (WakePacer::default(), Arc::new(Count::default()));
        let wakers = |many| (0..many).map(|_| Waker::from(Arc::clone(&count)));
        let now = Instant::now();
        pacer.wake_at(now, wakers(WAKE_SLICE));
        assert_eq!(count.0.load(Ordering::SeqCst), WAKE_SLICE);
        // Holds the thread back until the test starts it.
        pacer.0.lock().has_thread = true;
        pacer.wake_at(now, wakers(1_000));
        assert_eq!(count.0.load(Ordering::SeqCst), WAKE_SLICE, "the same slice");
        pacer.wake_at(now + WAKE_PAUSE, wakers(1));
        assert_eq!(count.0.load(Ordering::SeqCst), WAKE_SLICE + 1, "a new slice overtakes");
        pacer.start_thread();
        eventually(&count, WAKE_SLICE + 1_001);
        // The thread has ended, and another one starts for the next storm.
        pacer.wake_at(now, wakers(10 * WAKE_SLICE));
        eventually(&count, 11 * WAKE_SLICE + 1_001);
    }

    #[test]
    fn loses_no_waker_when_the_state_ends() {
        let (pacer, count) = (WakePacer::default(), Arc::new(Count::default()));
        pacer.wake_at(Instant::now(), (0..1_000).map(|_| Waker::from(Arc::clone(&count))));
        drop(pacer);
        eventually(&count, 1_000);
    }

    #[test]
    fn panicking_waker_does_not_keep_others_asleep() {
        let (pacer, count) = (WakePacer::default(), Arc::new(Count::default()));
        let now = Instant::now();
        pacer.wake_at(now, (0..WAKE_SLICE).map(|_| Waker::from(Arc::clone(&count))));
        pacer.wake_at(now, (0..3).map(|_| Waker::from(Arc::new(Panics))));
        pacer.wake_at(now, (0..500).map(|_| Waker::from(Arc::clone(&count))));
        eventually(&count, WAKE_SLICE + 500);
    }
}
