//! The handle of a running request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::cut::{Cut, CutPoint, CutReport};
use super::request::{AnchorSource, Request, wake};
use super::watch::CutPolicy;
use crate::authority::Authority;
use crate::claims::Claims;
use crate::freshness::NotReady;
use crate::unknown::UnknownCause;

/// A running request, from [`CutPolicy::start`]: a future that resolves once the request is cut,
/// and then at every poll.
///
/// Clones represent parts of the same request. When the last clone is dropped, the request is no
/// longer registered.
pub struct RequestCancellation {
    request: Arc<Request>,
    place: Option<u32>,
}

impl CutPolicy {
    /// Starts to watch a request that was admitted on these claims. Takes no lock. The request is
    /// registered when something first waits for its [`RequestCancellation`].
    #[must_use]
    pub fn start<S: AsRef<str>>(self: &Arc<Self>, claims: &Claims<S>) -> RequestCancellation {
        let anchors = Box::new(self.state.anchors(claims, self.checks.chain));
        RequestCancellation::new(Arc::clone(self), AnchorSource::Own(anchors))
    }

    /// Starts to watch a request that was admitted on shared claims. They are digested once the
    /// request has to wait.
    pub(super) fn start_shared(self: &Arc<Self>, claims: &Arc<Claims>) -> RequestCancellation {
        RequestCancellation::new(Arc::clone(self), AnchorSource::Claims(Arc::clone(claims)))
    }

    /// Starts to watch a request that was admitted on an authority of this policy's state. An
    /// authority of another state could not be looked up here, so such a request is cut at once.
    #[must_use]
    pub fn start_on(self: &Arc<Self>, authority: &Authority) -> RequestCancellation {
        let running =
            RequestCancellation::new(Arc::clone(self), AnchorSource::Shared(authority.clone()));
        if !authority.is_of_state(&self.state) {
            wake(running.request.end(Cut::Unknown(UnknownCause::NotReady(NotReady::Replaying))));
        }
        running
    }
}

impl RequestCancellation {
    fn new(watch: Arc<CutPolicy>, source: AnchorSource) -> Self {
        Self { request: Arc::new(Request::new(watch, source)), place: None }
    }

    /// Returns the reason why the request must end, or `None` while it may run. Registers the
    /// request.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.request.register();
        self.seen_cut()
    }

    /// Returns the reason why the request was cut, without registering it. A request that nothing
    /// has waited for yet returns `None`.
    #[inline]
    #[must_use]
    pub fn seen_cut(&self) -> Option<Cut> {
        self.request.cut()
    }

    /// Returns the zone that the claims name.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.request.anchor_set().zone.as_deref()
    }

    /// Lets the request's handler run to its end from now on.
    pub fn let_finish(&self) {
        self.request.let_finish();
    }

    /// Returns `true` if the request's handler may run to its end.
    #[must_use]
    pub fn is_let_finish(&self) -> bool {
        self.request.is_let_finish()
    }

    /// Sets the id of the connection that the request came on. If many requests are cut at once, the
    /// tasks of one connection are woken one after the other. Without an id it is 0.
    pub fn set_connection(&self, id: u32) {
        self.request.set_connection(id);
    }

    /// Reports to the [`CutPolicy`] that this part was cut. Only the first report of a request
    /// counts.
    pub fn report(&self, part: CutPoint) {
        let Some(cut) = self.seen_cut() else { return };
        if self.request.is_first_report()
            && let Some(on_cut) = &self.request.watch.on_cut
        {
            on_cut(&CutReport { cut, part, zone: self.zone() });
        }
    }
}

impl Future for RequestCancellation {
    type Output = Cut;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cut> {
        if let Some(cut) = self.seen_cut() {
            return Poll::Ready(cut);
        }
        self.request.register();
        self.place = self.request.wait(self.place, cx.waker());
        // A cut is stored before the wakers are taken: it is seen here, or it wakes this task.
        self.seen_cut().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Clone for RequestCancellation {
    fn clone(&self) -> Self {
        Self { request: Arc::clone(&self.request), place: None }
    }
}

impl Drop for RequestCancellation {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.request.free(place);
        }
    }
}

impl fmt::Debug for RequestCancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestCancellation").field("cut", &self.seen_cut()).finish_non_exhaustive()
    }
}
