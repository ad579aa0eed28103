//! Wakes the tasks of requests that were cut: a few at once, many in batches.
//!
//! One revocation may cut ten thousand requests. If all their tasks were woken at once, every other
//! request would wait behind them. So a thread wakes them in batches, and pauses after each. The
//! requests were marked as cut before, so none of them passes anything while its task still sleeps.
//!
//! Over HTTP/2, many requests share a connection. Their tasks are woken one after the other, so that
//! their ends share a write.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use super::registry::{Tasks, Waiter};
use crate::limits::{WAKE_PAUSE, WAKES_A_CORE};

/// A task of a request that was cut.
#[derive(Debug)]
pub(crate) struct Task {
    /// The id of the request's connection, or 0.
    connection: u32,
    waker: Waker,
}

impl Task {
    /// Returns the tasks of this request.
    pub(crate) fn all_of(request: &dyn Waiter, wakers: Tasks) -> impl Iterator<Item = Self> {
        let connection = request.connection();
        wakers.into_iter().map(move |waker| Self { connection, waker })
    }
}

/// The tasks that wait for their turn. A thread exists only while there are some. It does not need
/// the state, so it wakes all of them even if the state is dropped.
#[derive(Debug, Default)]
pub(crate) struct Waking(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// `true` while a thread wakes them.
    has_thread: bool,
}

impl Waking {
    /// Wakes these tasks, whose requests are marked as cut. The caller does not wait for a pause.
    pub(crate) fn wake(&self, mut tasks: Vec<Task>) {
        tasks.sort_by_key(|task| task.connection);
        if tasks.len() <= WAKES_A_CORE {
            tasks.into_iter().for_each(wake);
            return;
        }
        let mut queue = lock(&self.0);
        queue.tasks.extend(tasks);
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
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    while let Some(batch) = next_batch(queue, cores * WAKES_A_CORE) {
        batch.into_iter().for_each(wake);
        thread::sleep(pause);
    }
}

/// Takes the next tasks. After `None`, the thread must end: the next caller starts another.
fn next_batch(queue: &Mutex<Queue>, size: usize) -> Option<Vec<Task>> {
    let mut queue = lock(queue);
    let len = queue.tasks.len().min(size);
    queue.has_thread = len > 0;
    queue.has_thread.then(|| queue.tasks.drain(..len).collect())
}

/// Wakes a task. If a runtime's waker panics, the others must still be woken.
fn wake(task: Task) {
    let _ = catch_unwind(AssertUnwindSafe(|| task.waker.wake()));
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing panics under this lock.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::Wake;

    use super::*;

    const MANY: usize = 500;

    /// Counts how often it was woken, after it did its work.
    struct Counted<F>(Arc<AtomicUsize>, F);

    impl<F: Fn() + Send + Sync + 'static> Wake for Counted<F> {
        fn wake(self: Arc<Self>) {
            (self.1)();
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn tasks<F>(count: usize, woken: &Arc<AtomicUsize>, work: F) -> Vec<Task>
    where
        F: Fn() + Clone + Send + Sync + 'static,
    {
        let waker = || Waker::from(Arc::new(Counted(Arc::clone(woken), work.clone())));
        (0..count).map(|_| Task { connection: 0, waker: waker() }).collect()
    }

    /// Returns `true` once the counter has this value, and `false` if it has not after 20 s.
    fn reaches(woken: &AtomicUsize, count: usize) -> bool {
        (0..2_000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            woken.load(Ordering::SeqCst) == count
        })
    }

    #[test]
    fn wakes_all_even_if_dropped_and_again_after_a_pause() {
        let (waking, woken) = (Waking::default(), Arc::<AtomicUsize>::default());
        waking.wake(tasks(MANY, &woken, || {}));
        waking.wake(tasks(MANY, &woken, || {}));
        assert!(reaches(&woken, 2 * MANY));
        waking.wake(tasks(MANY, &woken, || {}));
        drop(waking);
        assert!(reaches(&woken, 3 * MANY));
    }

    #[test]
    fn batches_are_of_the_given_size_and_an_empty_queue_ends_the_thread() {
        let woken = Arc::<AtomicUsize>::default();
        let queue = Queue { tasks: tasks(10, &woken, || {}).into(), has_thread: true };
        let queue = Mutex::new(queue);
        for (size, has_thread) in [(Some(8), true), (Some(2), true), (None, false)] {
            assert_eq!(next_batch(&queue, 8).map(|batch| batch.len()), size);
            assert_eq!(lock(&queue).has_thread, has_thread);
        }
    }

    #[test]
    fn panicking_waker_keeps_no_other_task_asleep() {
        let (waking, woken) = (Waking::default(), Arc::<AtomicUsize>::default());
        for count in [WAKES_A_CORE, MANY] {
            let mut all = tasks(count, &woken, || {});
            all.insert(1, tasks(1, &woken, || panic!("a waker panics")).remove(0));
            all.truncate(count);
            waking.wake(all);
            assert!(reaches(&woken, count - 1));
            woken.store(0, Ordering::SeqCst);
        }
    }

    #[test]
    fn caller_does_not_wait_while_many_are_woken() {
        let (waking, woken) = (Waking::default(), Arc::<AtomicUsize>::default());
        let (release, released) = mpsc::channel();
        let released = Arc::new(Mutex::new(released));
        let blocks =
            move || released.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        let mut all = tasks(1, &woken, blocks);
        all.extend(tasks(MANY, &woken, || {}));
        waking.wake(all);
        assert_eq!(woken.load(Ordering::SeqCst), 0);
        // A few tasks do not wait behind the many.
        waking.wake(tasks(1, &woken, || {}));
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        release.send(()).unwrap();
        assert!(reaches(&woken, MANY + 2));
    }
}
