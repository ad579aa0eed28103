//! The response's body: the service's body until it is cut, or the denial in one chunk.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use caracal_revocation_state::RequestCancellation;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::errors::{BoxError, CutError};
use super::request_context::RequestContext;
use super::termination::{End, FinalFrames, Flush, Termination};
use super::turn::end_turn;

pin_project! {
    /// The body of a [`Guarded`](crate::Guarded) service's response.
    ///
    /// It passes on the frames of the service's own body. Once the request is cut, it ends as its
    /// protocol requires, in the task that polls it. It does not wait for the service's next frame.
    #[derive(Debug)]
    pub struct GuardedResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        /// The body of a response that is never cut.
        Inner { #[pin] body: B },
        Running { #[pin] body: B, running: RequestCancellation, termination: Termination },
        /// A denial, or the final frames after a cut.
        Own { frames: FinalFrames, flushing: Option<Pin<Box<Sleep>>> },
    }
}

impl<B> GuardedResponseBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// Creates a complete body of one chunk.
    pub(crate) fn complete(chunk: Bytes) -> Self {
        let event = Some(chunk).filter(|chunk| !chunk.is_empty());
        Self::own(FinalFrames { event, end: End::Clean })
    }

    const fn own(frames: FinalFrames) -> Self {
        Self { kind: Kind::Own { frames, flushing: None } }
    }
}

impl<B: Body> GuardedResponseBody<B> {
    /// Wraps the response of a request that may still be cut.
    pub(super) fn running(mut response: Response<B>, context: RequestContext) -> Response<Self> {
        let termination = Termination::prepare(&context.client, context.profile, &mut response);
        response.map(|body| Self {
            kind: Kind::Running { body, running: context.running, termination },
        })
    }
}

impl<B> Body for GuardedResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        match this.kind.as_mut().project() {
            KindProjection::Inner { body } => return body.poll_frame(cx).map_err(Into::into),
            KindProjection::Running { body, running, termination } => {
                let frames = match poll_running(body, running, termination, cx) {
                    Poll::Ready(Next::Frame(frame)) => return Poll::Ready(frame),
                    Poll::Ready(Next::Cut(frames)) => frames,
                    Poll::Pending => return Poll::Pending,
                };
                // This drops the service's body, and a frame that was not passed on.
                this.kind.set(Kind::Own { frames, flushing: None });
            }
            KindProjection::Own { .. } => {}
        }
        match this.kind.project() {
            KindProjection::Own { frames, flushing } => poll_own(frames, flushing, cx),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } | Kind::Running { body, .. } => body.is_end_stream(),
            Kind::Own { frames, .. } => frames.event.is_none() && matches!(frames.end, End::Clean),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } | Kind::Running { body, .. } => body.size_hint(),
            Kind::Own { frames, .. } => {
                SizeHint::with_exact(frames.event.as_ref().map_or(0, |chunk| chunk.len() as u64))
            }
        }
    }
}

enum Next {
    Frame(Option<Result<Frame<Bytes>, BoxError>>),
    Cut(FinalFrames),
}

fn poll_running<B>(
    mut body: Pin<&mut B>,
    running: &mut RequestCancellation,
    termination: &mut Termination,
    cx: &mut Context<'_>,
) -> Poll<Next>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let cut = match running.seen_cut() {
        Some(cut) => cut,
        None => match body.as_mut().poll_frame(cx) {
            Poll::Pending => ready!(Pin::new(&mut *running).poll(cx)),
            Poll::Ready(frame) => {
                // Checked again, because a revocation may arrive while the service produces the
                // frame. A body that ends at once is not registered for cuts, to save time.
                let goes_on =
                    matches!(&frame, Some(Ok(frame)) if frame.is_data()) && !body.is_end_stream();
                let cut = if goes_on { running.cut() } else { running.seen_cut() };
                let Some(cut) = cut else {
                    if let Some(Ok(frame)) = &frame {
                        frame.data_ref().inspect(|chunk| termination.sent(chunk));
                    }
                    return Poll::Ready(Next::Frame(frame.map(|frame| frame.map_err(Into::into))));
                };
                cut
            }
        },
    };
    running.report(termination.part());
    if termination.is_over_http2() {
        end_turn(cx);
    }
    Poll::Ready(Next::Cut(termination.final_frames(cut)))
}

fn poll_own(
    frames: &mut FinalFrames,
    flushing: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    if let Some(chunk) = frames.event.take() {
        return Poll::Ready(Some(Ok(Frame::data(chunk))));
    }
    if let Some(flushing) = flushing {
        ready!(flushing.as_mut().poll(cx));
    }
    match std::mem::replace(&mut frames.end, End::Clean) {
        End::Clean => Poll::Ready(None),
        End::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(*trailers)))),
        End::Broken(cut) => {
            if flushing.is_some() {
                end_turn(cx);
            }
            Poll::Ready(Some(Err(Box::new(CutError::new(cut)))))
        }
        End::BrokenAfter(cut, flush) => {
            frames.end = End::Broken(cut);
            match flush {
                // The server flushes while the body is pending, and then polls again at once.
                Flush::AtOnce => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Flush::After(time) => {
                    let mut sleep = Box::pin(sleep(time));
                    let poll = sleep.as_mut().poll(cx);
                    *flushing = Some(sleep);
                    ready!(poll);
                    poll_own(frames, flushing, cx)
                }
            }
        }
    }
}
