//! The state that the parts of one running request share. It is registered while a part of the
//! request exists, and it wakes all parts when the request is cut.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;

use smallvec::SmallVec;

use super::cut::Cut;
use super::recheck::recheck;
use super::registry::{Entry, Limits, Tasks, Waiter, ZoneEpoch};
use super::watch::CutPolicy;
use crate::anchors::{Anchor, AnchorSet};
use crate::authority::Authority;
use crate::claims::Claims;
use crate::clock::{Moment, UnixSeconds};
use crate::digest::Digest;
use crate::index::Mark;
use crate::unknown::UnknownCause;
use crate::verdict::Denial;

pub(super) struct Request {
    pub(super) watch: Arc<CutPolicy>,
    /// The source of the anchors, until they are needed: most requests never wait.
    source: Mutex<Option<AnchorSource>>,
    registered: AtomicBool,
    reported: AtomicBool,
    finishing: AtomicBool,
    /// The id of its connection, or 0.
    connection: AtomicU32,
    /// The reason for the cut, once there is one. Boxed, because few requests are ever cut.
    cut: OnceLock<Box<Cut>>,
    /// Boxed, so that a request that never waits is small.
    waiting: OnceLock<Box<Waiting>>,
}

/// The source of the anchors of a request.
pub(super) enum AnchorSource {
    /// An authority, shared by all requests of the same token.
    Shared(Authority),
    /// Claims, which are digested for a request that waits, and then dropped.
    Claims(Arc<Claims>),
    Own(Box<AnchorSet>),
}

/// The parts that only a request that waits needs.
struct Waiting {
    anchors: Anchors,
    wakers: Mutex<Wakers>,
}

/// The anchors of a request: its own copy, or shared by all requests of the same token.
enum Anchors {
    Own(AnchorSet),
    Shared(Authority),
}

impl Request {
    pub(super) fn new(watch: Arc<CutPolicy>, source: AnchorSource) -> Self {
        Self {
            watch,
            source: Mutex::new(Some(source)),
            registered: AtomicBool::new(false),
            reported: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
            connection: AtomicU32::new(0),
            cut: OnceLock::new(),
            waiting: OnceLock::new(),
        }
    }

    /// Registers the request once, and then checks whether the state has changed in between.
    #[inline]
    pub(super) fn register(self: &Arc<Self>) {
        if !self.registered.load(Ordering::Relaxed) {
            self.register_first();
        }
    }

    #[cold]
    fn register_first(self: &Arc<Self>) {
        if !self.registered.swap(true, Ordering::AcqRel) {
            let state = &self.watch.state;
            let request: Weak<Self> = Arc::downgrade(self);
            state.running.insert(&self.entry(), &(request as Weak<dyn Waiter>));
            state.expect_end();
            wake(self.recheck(state.now()));
            // A revocation that found no room since the request was admitted is not in the index,
            // so the recheck cannot find it.
            if state.index.is_full() && !self.watch.checks.fail_open_unknown {
                wake(self.end(Cut::Unknown(UnknownCause::Full)));
            }
        }
    }

    /// Marks the request as cut. Returns the tasks that the caller must wake.
    pub(super) fn end(&self, cut: Cut) -> Tasks {
        // rule: revoked-request-is-cut
        if !self.is_cut() && self.cut.set(Box::new(cut)).is_ok() {
            // A task that waits from now on sees the mark.
            return self.wakers().take();
        }
        Tasks::new()
    }

    /// Returns the reason why the request was cut, if it was.
    #[inline]
    pub(super) fn cut(&self) -> Option<Cut> {
        self.cut.get().map(|cut| **cut)
    }

    /// Registers the waker, to be woken when the request is cut. Returns the waker's place.
    pub(super) fn wait(&self, place: Option<u32>, waker: &Waker) -> Option<u32> {
        if self.wakers().would_wake(place, waker) {
            return place;
        }
        // Cloned and dropped outside the lock: a waker's code may take it.
        let waker = waker.clone();
        let (place, replaced) = self.wakers().set(place, waker);
        drop(replaced);
        place
    }

    /// Frees the place of a part that no longer waits.
    pub(super) fn free(&self, place: u32) {
        // Dropped outside the lock: a waker's code may take it.
        let waker = self.wakers().free(place);
        drop(waker);
    }

    /// Lets the handler run to its end from now on.
    pub(super) fn let_finish(&self) {
        self.finishing.store(true, Ordering::Release);
    }

    pub(super) fn is_let_finish(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }

    pub(super) fn set_connection(&self, id: u32) {
        self.connection.store(id, Ordering::Relaxed);
    }

    /// Returns `true` only to the first part that reports the cut.
    pub(super) fn is_first_report(&self) -> bool {
        !self.reported.swap(true, Ordering::AcqRel)
    }

    pub(super) fn anchor_set(&self) -> &AnchorSet {
        match &self.waiting().anchors {
            Anchors::Own(anchors) => anchors,
            Anchors::Shared(authority) => authority.anchors(),
        }
    }

    fn waiting(&self) -> &Waiting {
        self.waiting.get_or_init(|| {
            let source = lock(&self.source).take();
            let anchors = match source {
                Some(AnchorSource::Shared(authority)) => Anchors::Shared(authority),
                Some(AnchorSource::Own(anchors)) => Anchors::Own(*anchors),
                Some(AnchorSource::Claims(claims)) => Anchors::Own(self.digest(&claims)),
                // Not reached, because it is taken only here. Expired claims end the request.
                None => Anchors::Own(self.digest(&Claims::new("", 0, 0))),
            };
            Box::new(Waiting { anchors, wakers: Mutex::default() })
        })
    }

    fn digest(&self, claims: &Claims) -> AnchorSet {
        self.watch.state.anchors(claims, self.watch.checks.chain)
    }

    /// Returns the anchors that the route checks.
    fn anchors(&self) -> &[Anchor] {
        self.anchor_set().anchors(self.watch.checks.chain)
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            anchors: self.anchors(),
            epoch: self.epoch(),
            limits: self.limits(),
            address: std::ptr::from_ref(self).addr(),
        }
    }

    fn epoch(&self) -> Option<ZoneEpoch> {
        let checks = &self.watch.checks;
        let AnchorSet { epoch, zone, .. } = self.anchor_set();
        let zone = zone.as_deref().filter(|_| checks.delegation_epoch && *epoch > 0)?;
        let zone = self.watch.state.index.digest(zone);
        Some(ZoneEpoch::new(zone, checks.ended_delegations_only, *epoch))
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        lock(&self.waiting().wakers)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the tasks of one request.
pub(super) fn wake(tasks: Tasks) {
    tasks.into_iter().for_each(Waker::wake);
}

impl Waiter for Request {
    fn recheck(&self, now: Moment) -> Tasks {
        if self.is_cut() {
            return Tasks::new();
        }
        let cut = recheck(self.anchor_set(), &self.watch, now);
        cut.map_or_else(Tasks::new, |cut| self.end(cut))
    }

    fn deny(&self, anchor: Digest, mark: Mark) -> Tasks {
        let own = self.anchors().iter().find(|own| own.digest() == anchor);
        let cut = own.map(|own| Cut::Denied(Denial::by(own.kind(), mark)));
        cut.map_or_else(Tasks::new, |cut| self.end(cut))
    }

    fn is_cut(&self) -> bool {
        self.cut.get().is_some()
    }

    fn connection(&self) -> u32 {
        self.connection.load(Ordering::Relaxed)
    }

    fn issued(&self) -> UnixSeconds {
        self.anchor_set().iat
    }

    fn limits(&self) -> Limits {
        let deadline = self.watch.deadline(self.anchor_set().exp);
        Limits { deadline, bound: self.watch.bound }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if *self.registered.get_mut() {
            self.watch.state.running.remove(&self.entry());
        }
    }
}

/// The wakers of the tasks that wait for one request: one place for each part. Most requests have
/// one.
///
/// The wakers are behind a lock. Cloning, waking or dropping a waker runs code of its runtime,
/// which may take the same lock. So a waker is cloned before it is stored, and handed out to be
/// woken or dropped.
#[derive(Debug, Default)]
struct Wakers(SmallVec<[Option<Waker>; 1]>);

impl Wakers {
    /// Returns `true` if the part's place holds a waker of the same task.
    fn would_wake(&self, place: Option<u32>, waker: &Waker) -> bool {
        let held = place.and_then(|place| self.0.get(place as usize)?.as_ref());
        held.is_some_and(|held| held.will_wake(waker))
    }

    /// Stores the waker in the part's place, or in a free one. Returns that place, and the waker
    /// that was in it.
    fn set(&mut self, place: Option<u32>, waker: Waker) -> (Option<u32>, Option<Waker>) {
        let own = place.map(|place| place as usize).filter(|place| *place < self.0.len());
        let at = own.or_else(|| self.0.iter().position(Option::is_none)).unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push(None);
        }
        let replaced = self.0.get_mut(at).and_then(|free| free.replace(waker));
        (u32::try_from(at).ok(), replaced)
    }

    /// Frees the place. Returns the waker that was in it.
    fn free(&mut self, place: u32) -> Option<Waker> {
        self.0.get_mut(place as usize).and_then(Option::take)
    }

    /// Removes and returns all wakers; the parts keep their places.
    fn take(&mut self) -> Tasks {
        self.0.iter_mut().filter_map(Option::take).collect()
    }
}
