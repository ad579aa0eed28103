//! The one thread that cuts what time ends: `exp`, and a state that was unknown for too long.
//!
//! A thread of its own and no task: it needs no runtime, it outlives each, and no busy or hanging
//! one holds it up. It sleeps while nothing has an end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::state::State;

/// How long it sleeps at most while something has an end: a machine that was suspended, or whose
/// wall clock was set, is noticed that much later.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long it sleeps while nothing has an end, unless it is woken.
const IDLE_SLEEP: Duration = Duration::from_secs(60 * 60);

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
    /// Whether it must look again before it sleeps on.
    look: bool,
    /// Whether it sleeps for want of anything that ends.
    idle: bool,
}

impl Timekeeper {
    /// Something has an end now: looks after it, soon.
    pub(crate) fn expect(&self, state: &Arc<State>) {
        let mut keeping = self.0.lock();
        if !keeping.started {
            let (shared, state) = (Arc::clone(&self.0), Arc::downgrade(state));
            let name = "caracal-deadlines".to_owned();
            // If there is no thread to be had, the next request tries again.
            keeping.started =
                thread::Builder::new().name(name).spawn(move || keep(&shared, &state)).is_ok();
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

fn keep(shared: &Shared, state: &Weak<State>) {
    loop {
        // Not held while it sleeps: the thread must not keep the state alive.
        let Some(held) = state.upgrade() else { return };
        let next = held.cut_overdue(held.now());
        drop(held);
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
