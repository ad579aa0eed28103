//! Wakes the tasks of requests that were cut: a few at once, many in batches.
//!
//! One revocation may cut ten thousand requests. If all their tasks were woken at once, every other
//! request would wait behind them. So a thread wakes them in batches, and pauses after each. The
//! requests were marked as cut before, so none of them passes anything while its task still sleeps.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use crate::limits::{WAKE_PAUSE, WAKES_AT_ONCE};

/// The wakers that wait for their turn. A thread exists only while there are some. It does not need
/// the state, so it wakes all of them even if the state is dropped.
#[derive(Debug, Default)]
pub(crate) struct Waking(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    wakers: VecDeque<Waker>,
    /// `true` while a thread wakes them.
    has_thread: bool,
}

impl Waking {
    /// Wakes these tasks, whose requests are marked as cut. The caller does not wait for a pause.
    pub(crate) fn wake(&self, wakers: Vec<Waker>) {
        if wakers.len() <= WAKES_AT_ONCE {
            wakers.into_iter().for_each(wake);
            return;
        }
        let mut queue = lock(&self.0);
        queue.wakers.extend(wakers);
        if mem::replace(&mut queue.has_thread, true) {
            return;
        }
        drop(queue);
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("caracal-wakes".to_owned());
        if thread.spawn(move || wake_in_batches(&shared, WAKE_PAUSE)).is_err() {
            // Without a thread, this one wakes them, and must not sleep.
            wake_in_batches(&self.0, Duration::ZERO);
        }
    }
}

fn wake_in_batches(queue: &Mutex<Queue>, pause: Duration) {
    while let Some(batch) = next_batch(queue) {
        batch.into_iter().for_each(wake);
        thread::sleep(pause);
    }
}

/// Takes the next wakers. After `None`, the thread must end: the next caller starts another.
fn next_batch(queue: &Mutex<Queue>) -> Option<Vec<Waker>> {
    let mut queue = lock(queue);
    let len = queue.wakers.len().min(WAKES_AT_ONCE);
    queue.has_thread = len > 0;
    queue.has_thread.then(|| queue.wakers.drain(..len).collect())
}

/// Wakes a task. If a runtime's waker panics, the others must be woken all the same.
fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing panics under this lock.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
