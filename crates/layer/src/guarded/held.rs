//! A response without a length, held back until it has one.
//!
//! HTTP/1.0 ends a response without a length by closing the connection. A cut would look like such
//! an end. The layer therefore sends the response with its length, once it is complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::request_context::RequestContext;
use crate::answer::Denial;
use crate::limits::{HELD_DEADLINE, MAX_HELD};

pin_project! {
    #[derive(Debug)]
    pub(super) struct Held<B> {
        // `None` once the response was returned.
        head: Option<Parts>,
        #[pin]
        body: B,
        read: BytesMut,
        context: RequestContext,
        #[pin]
        deadline: Sleep,
    }
}

impl<B> Held<B> {
    pub(super) fn new(response: Response<B>, context: RequestContext) -> Self {
        let (head, body) = response.into_parts();
        let deadline = sleep(HELD_DEADLINE);
        Self { head: Some(head), body, read: BytesMut::new(), context, deadline }
    }
}

impl<B: Body<Data = Bytes>> Future for Held<B> {
    /// The complete response, or the denial if the request was cut or its response exceeded the
    /// limits.
    type Output = Result<Response<Bytes>, Box<Denial>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(cut) = this.context.running.cut() {
                return Poll::Ready(Err(this.context.deny(cut)));
            }
            let frame = this.body.as_mut().poll_frame(cx);
            // Checked again, because a revocation may arrive while the service produces the frame.
            if let Poll::Ready(cut) = Pin::new(&mut this.context.running).poll(cx) {
                return Poll::Ready(Err(this.context.deny(cut)));
            }
            match frame {
                Poll::Ready(Some(Ok(frame))) => {
                    let chunk = frame.into_data().unwrap_or_default();
                    if chunk.len() > MAX_HELD.saturating_sub(this.read.len()) {
                        return Poll::Ready(Err(this.context.deny_version()));
                    }
                    this.read.extend_from_slice(&chunk);
                }
                // HTTP/1.0 cannot report the service's own error either.
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(this.context.deny_version())),
                Poll::Ready(None) => {
                    // A future that was ready is not polled again.
                    let Some(mut head) = this.head.take() else { return Poll::Pending };
                    let body = this.read.split().freeze();
                    head.headers.remove(TRANSFER_ENCODING);
                    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
                Poll::Pending => {
                    ready!(this.deadline.as_mut().poll(cx));
                    return Poll::Ready(Err(this.context.deny_version()));
                }
            }
        }
    }
}
