//! The thread that cuts requests when time ends them: at `exp`, or when the state is unknown for
//! too long.
//!
//! It is a thread and not a task, so it needs no runtime, outlives each runtime, and is not delayed
//! by a busy one. It sleeps while no request has an end.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::limits::{IDLE_SLEEP, LONGEST_SLEEP};

#[derive(Debug, Default)]
pub(crate) struct Timekeeper(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<ThreadState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ThreadState {
    started: bool,
    stopped: bool,
    /// `true` if it must check again before the next sleep.
    check_now: bool,
    /// `true` while it sleeps because no request has an end.
    idle: bool,
}

impl Timekeeper {
    /// Makes the thread check soon, because a request now has an end. Starts the thread at the
    /// first call.
    ///
    /// `start` creates the function that the thread calls at each check. It cuts what is overdue
    /// and returns the time until the next end, or breaks once the state is gone. It must hold the
    /// state weakly.
    pub(crate) fn expect<L>(&self, start: impl FnOnce() -> L)
    where
        L: FnMut() -> ControlFlow<(), Option<Duration>> + Send + 'static,
    {
        let mut state = self.0.lock();
        if !state.started {
            let (shared, check) = (Arc::clone(&self.0), start());
            let name = "caracal-deadlines".to_owned();
            // If no thread can be started, the next request tries again.
            state.started =
                thread::Builder::new().name(name).spawn(move || run_checks(&shared, check)).is_ok();
            return;
        }
        // Set even while the thread is awake: its check may already be over.
        state.check_now = true;
        if state.idle {
            drop(state);
            self.0.changed.notify_one();
        }
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ThreadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run_checks(shared: &Shared, mut check: impl FnMut() -> ControlFlow<(), Option<Duration>>) {
    while let ControlFlow::Continue(next) = check() {
        let mut state = shared.lock();
        state.idle = next.is_none();
        let sleep = next.map_or(IDLE_SLEEP, |next| next.min(LONGEST_SLEEP));
        let slept = shared
            .changed
            .wait_timeout_while(state, sleep, |state| !state.check_now && !state.stopped);
        let (mut state, _) = slept.unwrap_or_else(PoisonError::into_inner);
        state.check_now = false;
        if state.stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Returns `true` once the condition holds, and `false` if it does not within 20 s.
    fn becomes(condition: impl Fn() -> bool) -> bool {
        (0..2_000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            condition()
        })
    }

    #[test]
    fn idle_thread_checks_when_it_is_woken_and_ends_with_its_owner() {
        let (timekeeper, checks) = (Timekeeper::default(), Arc::<AtomicUsize>::default());
        let expect = || {
            timekeeper.expect(|| {
                let checks = Arc::clone(&checks);
                move || {
                    checks.fetch_add(1, Ordering::SeqCst);
                    ControlFlow::Continue(None)
                }
            });
        };
        for count in 1..4 {
            expect();
            assert!(becomes(|| checks.load(Ordering::SeqCst) == count));
            thread::sleep(Duration::from_millis(50));
            assert_eq!(checks.load(Ordering::SeqCst), count, "it sleeps until it is woken");
        }
        drop(timekeeper);
        assert!(becomes(|| Arc::strong_count(&checks) == 1), "the thread has ended");
    }
}
