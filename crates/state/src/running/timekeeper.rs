//! The one thread that cuts what time ends: `exp`, and a state that was unknown for too long.
//!
//! A thread of its own and no task: it needs no runtime, it outlives each, and no busy or hanging
//! one holds it up. It sleeps while nothing has an end.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::limits::{IDLE_SLEEP, LONGEST_SLEEP};

#[derive(Debug, Default)]
pub(crate) struct Timekeeper(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    keeping: Mutex<Keeping>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Keeping {
    started: bool,
    stopped: bool,
    /// `true` if it must look again before it sleeps on.
    look: bool,
    /// `true` while it sleeps because nothing has an end.
    idle: bool,
}

impl Timekeeper {
    /// Looks soon: something has an end now. `start` makes what the thread calls each time that it
    /// looks: it cuts what is overdue and returns the time until the next end, or breaks once the
    /// state is gone. It must hold the state weakly.
    pub(crate) fn expect<L>(&self, start: impl FnOnce() -> L)
    where
        L: FnMut() -> ControlFlow<(), Option<Duration>> + Send + 'static,
    {
        let mut keeping = self.0.lock();
        if !keeping.started {
            let (shared, look) = (Arc::clone(&self.0), start());
            let name = "caracal-deadlines".to_owned();
            // If there is no thread to be had, the next request tries again.
            keeping.started =
                thread::Builder::new().name(name).spawn(move || keep(&shared, look)).is_ok();
            return;
        }
        // Set also while it is awake: it may have looked just before.
        keeping.look = true;
        if keeping.idle {
            drop(keeping);
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
    fn lock(&self) -> MutexGuard<'_, Keeping> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(shared: &Shared, mut look: impl FnMut() -> ControlFlow<(), Option<Duration>>) {
    while let ControlFlow::Continue(next) = look() {
        let mut keeping = shared.lock();
        keeping.idle = next.is_none();
        let sleep = next.map_or(IDLE_SLEEP, |next| next.min(LONGEST_SLEEP));
        let slept = shared
            .changed
            .wait_timeout_while(keeping, sleep, |keeping| !keeping.look && !keeping.stopped);
        let (mut keeping, _) = slept.unwrap_or_else(PoisonError::into_inner);
        keeping.look = false;
        if keeping.stopped {
            return;
        }
    }
}
