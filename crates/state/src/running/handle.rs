//! One running request: registered while any of its parts lives, and woken when it is cut.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use super::cut::{Cut, CutPart, CutReport};
use super::wakers::Wakers;
use super::watch::Watch;
use crate::digest::Digest;
use crate::grounds::{Anchor, Grounds};
use crate::index::Mark;
use crate::{Authority, Moment, Refusal, Unknown};

/// A running request, from [`Watch::start`]: a future that resolves once it is cut, and then at
/// every poll.
///
/// Clones stand for parts of the same request. When the last one is dropped, for whatever reason,
/// the request is no longer registered.
pub struct Running {
    request: Arc<Request>,
    place: Option<u32>,
}

/// What the parts of a request share.
pub(crate) struct Request {
    pub(super) watch: Arc<Watch>,
    ground: Ground,
    registered: AtomicBool,
    told: AtomicBool,
    finishing: AtomicBool,
    /// Boxed, since hardly any request is ever cut.
    cut: OnceLock<Box<Cut>>,
    wakers: Mutex<Wakers>,
}

/// What a request stands on: kept for it alone, or for all of the same token.
pub(super) enum Ground {
    Own(Grounds),
    Shared(Authority),
}

impl Running {
    pub(super) fn new(watch: Arc<Watch>, ground: Ground) -> Self {
        let request = Arc::new(Request {
            watch,
            ground,
            registered: AtomicBool::new(false),
            told: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
            cut: OnceLock::new(),
            wakers: Mutex::default(),
        });
        Self { request, place: None }
    }

    /// Why the request must end, if it must by now.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.request.register();
        self.seen_cut()
    }

    /// The same without registering: of a request that nothing has waited for yet it is not
    /// known.
    #[inline]
    #[must_use]
    pub fn seen_cut(&self) -> Option<Cut> {
        self.request.cut.get().map(|cut| **cut)
    }

    pub(super) fn end(&self, cut: Cut) {
        self.request.end(cut);
    }

    /// The zone that the claims name.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.request.grounds().zone.as_deref()
    }

    /// From now on the request's handler is to be let run to its end.
    pub fn let_finish(&self) {
        self.request.finishing.store(true, Ordering::Release);
    }

    /// Whether it is to be.
    #[must_use]
    pub fn is_let_finish(&self) -> bool {
        self.request.finishing.load(Ordering::Acquire)
    }

    /// Tells the [`Watch`] that this part was cut, unless another part was told of before.
    pub fn report(&self, part: CutPart) {
        let Some(cut) = self.seen_cut() else { return };
        if !self.request.told.swap(true, Ordering::AcqRel)
            && let Some(on_cut) = &self.request.watch.on_cut
        {
            on_cut(&CutReport { cut, part, zone: self.zone() });
        }
    }
}

impl Future for Running {
    type Output = Cut;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cut> {
        if let Some(cut) = self.seen_cut() {
            return Poll::Ready(cut);
        }
        self.request.register();
        self.place = self.request.wait(self.place, cx.waker());
        // The cut is made before the wakers are taken: it is seen here, or it wakes this task.
        self.seen_cut().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Clone for Running {
    fn clone(&self) -> Self {
        Self { request: Arc::clone(&self.request), place: None }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.request.wakers().free(place);
            drop(waker);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("cut", &self.seen_cut()).finish_non_exhaustive()
    }
}

impl Request {
    /// Enters the registry, once, and then looks whether the state has changed in between.
    #[inline]
    fn register(self: &Arc<Self>) {
        if !self.registered.load(Ordering::Relaxed) {
            self.register_first();
        }
    }

    #[cold]
    fn register_first(self: &Arc<Self>) {
        if !self.registered.swap(true, Ordering::AcqRel) {
            let state = &self.watch.state;
            state.enter(self);
            self.judge(state.now());
            // What found no room since it was admitted, nobody finds.
            if state.index.is_full() && !self.watch.checks.fail_open_unknown {
                self.end(Cut::Unknown(Unknown::Full));
            }
        }
    }

    /// Cuts the request, if it must end by now.
    pub(crate) fn judge(&self, now: Moment) {
        if !self.is_cut()
            && let Some(cut) = self.watch.state.must_cut(self, now)
        {
            self.end(cut);
        }
    }

    /// Cuts the request, if it stands on this anchor.
    pub(crate) fn refuse(&self, anchor: Digest, mark: Mark) {
        if let Some(anchor) = self.anchors().iter().find(|own| own.digest() == anchor) {
            self.end(Cut::Refused(Refusal::by(anchor.kind(), mark)));
        }
    }

    fn end(&self, cut: Cut) {
        if !self.is_cut() && self.cut.set(Box::new(cut)).is_ok() {
            let wakers = self.wakers().take();
            // Outside the lock: whom it wakes may ask for it.
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Has this waker woken when the request is cut. Returns the place where it waits.
    fn wait(&self, place: Option<u32>, waker: &Waker) -> Option<u32> {
        if self.wakers().would_wake(place, waker) {
            return place;
        }
        // Cloned and dropped outside the lock: either may ask for it.
        let waker = waker.clone();
        let (place, replaced) = self.wakers().set(place, waker);
        drop(replaced);
        place
    }

    pub(super) fn grounds(&self) -> &Grounds {
        match &self.ground {
            Ground::Own(grounds) => grounds,
            Ground::Shared(authority) => authority.grounds(),
        }
    }

    /// The second, since the Unix epoch, in which it ends.
    pub(super) fn deadline(&self) -> u64 {
        self.watch.deadline(self.grounds().exp)
    }

    /// Those that its route looks at.
    pub(super) fn anchors(&self) -> &[Anchor] {
        self.grounds().anchors(self.watch.checks.chain)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.get().is_some()
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        // Nothing panics under this lock.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if *self.registered.get_mut() {
            self.watch.state.leave(self);
        }
    }
}
