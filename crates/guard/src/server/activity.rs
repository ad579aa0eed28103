//! The requests that run on a connection, and the time since the last one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

/// Counts the running requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    running: usize,
    /// The time of the last change.
    since: Instant,
    /// The time after which a connection without requests is idle.
    limit: Duration,
}

impl Activity {
    /// Starts to count. The connection may wait for its first request for this time.
    pub(super) fn new(first: Duration) -> Self {
        Self(Arc::new(Mutex::new(State { running: 0, since: Instant::now(), limit: first })))
    }

    /// Counts a request. After it, the connection may wait for the next one for this time.
    pub(super) fn start(&self, limit: Duration) -> Running {
        let mut state = self.state();
        state.running += 1;
        state.limit = limit;
        drop(state);
        Running(self.clone())
    }

    /// Returns the time at which the connection will have been idle for too long, if no request
    /// comes until then.
    pub(super) fn deadline(&self) -> Instant {
        let state = self.state();
        let since = if state.running == 0 { state.since } else { Instant::now() };
        since + state.limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running request. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running(Activity);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = state.running.saturating_sub(1);
        state.since = Instant::now();
    }
}

pin_project! {
    /// The body of a response: its request runs until the body is dropped.
    pub(super) struct RunningBody<B> {
        #[pin]
        body: B,
        running: Running,
    }
}

impl<B> RunningBody<B> {
    pub(super) const fn new(body: B, running: Running) -> Self {
        Self { body, running }
    }
}

impl<B: Body> Body for RunningBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_running_request_postpones_the_deadline() {
        let seconds = Duration::from_secs;
        let (activity, start) = (Activity::new(seconds(1)), Instant::now());
        assert_eq!(activity.deadline(), start + seconds(1));
        let running = activity.start(seconds(5));
        tokio::time::advance(seconds(60)).await;
        assert_eq!(activity.deadline(), start + seconds(65));
        drop(running);
        tokio::time::advance(seconds(2)).await;
        assert_eq!(activity.deadline(), start + seconds(65));
    }
}
