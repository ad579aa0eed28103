//! The request's body on its way to the service, and which side it waits for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation::gateway::{BoxError, GuardedRequestBody};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};

use super::error::X_REQUEST_ID;
use super::{forwarded, hop_by_hop};
use crate::identity;

pin_project! {
    /// The body of a request that is forwarded. Its trailers lose what only this proxy may say.
    pub(super) struct Upload {
        // `None` for a request without a body that is sent again.
        #[pin]
        body: Option<GuardedRequestBody<Incoming>>,
        progress: Progress,
    }
}

/// The progress of an upload.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    waits_for: Side,
    since: Instant,
    has_failed: bool,
}

/// The side that must act next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The client must send more of its body.
    Client,
    /// The service must read more of the body, or answer.
    Service,
}

impl Upload {
    pub(super) fn new(body: GuardedRequestBody<Incoming>) -> Self {
        Self { body: Some(body), progress: Progress::new() }
    }

    /// Creates a body without content.
    pub(super) fn empty() -> Self {
        Self { body: None, progress: Progress::new() }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    fn new() -> Self {
        let state = State { waits_for: Side::Service, since: Instant::now(), has_failed: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Returns `true` if reading the body from the client failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state().has_failed
    }

    /// Waits until one side has done nothing for its time, and returns this side. A client without
    /// a limit may pause forever.
    pub(super) async fn stalled(&self, client: Option<Duration>, service: Duration) -> Side {
        let shortest = client.unwrap_or(service).min(service);
        loop {
            let (now, deadline, side) = {
                let state = self.state();
                let limit = match state.waits_for {
                    Side::Client => client,
                    Side::Service => Some(service),
                };
                (Instant::now(), limit.map(|limit| state.since + limit), state.waits_for)
            };
            let next = now + shortest;
            match deadline {
                Some(deadline) if deadline <= now => return side,
                Some(deadline) => sleep_until(deadline.min(next)).await,
                None => sleep_until(next).await,
            }
        }
    }

    fn wait_for(&self, side: Side, is_progress: bool) {
        let mut state = self.state();
        if is_progress || state.waits_for != side {
            state.since = Instant::now();
        }
        state.waits_for = side;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let Some(body) = this.body.as_pin_mut() else { return Poll::Ready(None) };
        let frame = body.poll_frame(cx);
        match &frame {
            Poll::Pending => this.progress.wait_for(Side::Client, false),
            Poll::Ready(Some(Err(_))) => this.progress.state().has_failed = true,
            Poll::Ready(_) => this.progress.wait_for(Side::Service, true),
        }
        frame.map_ok(|mut frame| {
            frame.trailers_mut().into_iter().for_each(clean_trailers);
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Removes the fields that a service must not learn from a trailer, because it could treat them
/// like a header.
fn clean_trailers(trailers: &mut HeaderMap) {
    hop_by_hop::remove(trailers);
    forwarded::remove(trailers);
    identity::remove_forged(trailers);
    for name in [AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, X_REQUEST_ID] {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Duration = Duration::from_secs(60);
    const SERVICE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn blames_the_side_that_must_act() {
        let (start, upload) = (Instant::now(), Progress::new());
        assert_eq!(upload.stalled(Some(CLIENT), SERVICE).await, Side::Service);
        assert_eq!(start.elapsed(), SERVICE);

        upload.wait_for(Side::Client, false);
        let start = Instant::now();
        assert_eq!(upload.stalled(Some(CLIENT), SERVICE).await, Side::Client);
        assert_eq!(start.elapsed(), CLIENT);
    }

    #[tokio::test(start_paused = true)]
    async fn each_part_that_the_service_takes_renews_its_time() {
        let (start, upload) = (Instant::now(), Progress::new());
        let uploading = upload.clone();
        tokio::spawn(async move {
            for _ in 0..3 {
                uploading.wait_for(Side::Client, false);
                tokio::time::sleep(Duration::from_secs(7)).await;
                uploading.wait_for(Side::Service, true);
            }
        });
        assert_eq!(upload.stalled(Some(CLIENT), SERVICE).await, Side::Service);
        assert_eq!(start.elapsed(), Duration::from_secs(31));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_limit_may_pause() {
        let upload = Progress::new();
        upload.wait_for(Side::Client, false);
        let stalled = upload.stalled(None, SERVICE);
        assert!(tokio::time::timeout(CLIENT * 60, stalled).await.is_err());
    }
}
