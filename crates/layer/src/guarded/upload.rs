//! The request's body on its way to the service. Reading it fails once the request is cut.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use caracal_revocation_state::{CutPoint, RequestCancellation};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::errors::{BoxError, CutError};

pin_project! {
    /// The body of a request behind a [`GatewayLayer`](crate::GatewayLayer) or a
    /// [`ResourceLayer`](crate::ResourceLayer).
    ///
    /// Reading it fails with a [`CutError`] once the request is cut.
    #[derive(Debug)]
    pub struct GuardedRequestBody<B> {
        #[pin]
        body: B,
        running: Option<RequestCancellation>,
        // `true` once the error was returned: no frame follows it.
        ended: bool,
    }
}

impl<B> GuardedRequestBody<B> {
    pub(crate) const fn new(body: B, running: Option<RequestCancellation>) -> Self {
        Self { body, running, ended: false }
    }

    /// Returns the inner body. A cut of the request no longer ends it.
    pub fn insecure_into_inner(self) -> B {
        self.body
    }
}

impl<B> Body for GuardedRequestBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let Some(running) = this.running else {
            return this.body.poll_frame(cx).map_err(Into::into);
        };
        let cut = match running.seen_cut() {
            Some(cut) => cut,
            None => match this.body.as_mut().poll_frame(cx) {
                Poll::Pending => ready!(Pin::new(&mut *running).poll(cx)),
                Poll::Ready(frame) => {
                    // A body that ends at once is not registered for cuts, to save time.
                    let goes_on = matches!(frame, Some(Ok(_))) && !this.body.is_end_stream();
                    let cut = if goes_on { running.cut() } else { running.seen_cut() };
                    let Some(cut) = cut else {
                        return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
                    };
                    cut
                }
            },
        };
        running.report(CutPoint::Upload);
        *this.ended = true;
        Poll::Ready(Some(Err(Box::new(CutError::new(cut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
