//! The response's body: the service's until it is cut, or the refusal in one chunk.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use caracal_revocation_state::Running;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::ending::{End, Ending, Flush, LastWords};
use super::errors::{BoxError, CutError};
use super::request_context::RequestContext;

pin_project! {
    /// The body of a [`Guarded`](crate::Guarded) service's response.
    ///
    /// It hands on what the service's own body says, and ends as its protocol has it once the
    /// authority behind the request has ended: within the task that polls it, at once, whether or
    /// not the service has anything to say.
    #[derive(Debug)]
    pub struct GuardedBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        /// Of a request that nothing cuts.
        Inner { #[pin] body: B },
        Running { #[pin] body: B, running: Running, ending: Ending },
        /// A refusal, or what is left to say after a cut.
        Own { words: LastWords, flushing: Option<Pin<Box<Sleep>>> },
    }
}

impl<B> GuardedBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// All of a response in one chunk.
    pub(crate) fn whole(chunk: Bytes) -> Self {
        let event = Some(chunk).filter(|chunk| !chunk.is_empty());
        Self::own(LastWords { event, end: End::Clean })
    }

    const fn own(words: LastWords) -> Self {
        Self { kind: Kind::Own { words, flushing: None } }
    }
}

impl<B: Body> GuardedBody<B> {
    /// The response of a request that runs on.
    pub(super) fn running(mut response: Response<B>, context: RequestContext) -> Response<Self> {
        let ending = Ending::prepare(&context.client, context.profile, &mut response);
        response.map(|body| Self { kind: Kind::Running { body, running: context.running, ending } })
    }
}

impl<B> Body for GuardedBody<B>
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
            KindProjection::Running { body, running, ending } => {
                let words = match poll_running(body, running, ending, cx) {
                    Poll::Ready(Next::Frame(frame)) => return Poll::Ready(frame),
                    Poll::Ready(Next::Cut(words)) => words,
                    Poll::Pending => return Poll::Pending,
                };
                // What was not handed over goes with the service's body.
                this.kind.set(Kind::Own { words, flushing: None });
            }
            KindProjection::Own { .. } => {}
        }
        match this.kind.project() {
            KindProjection::Own { words, flushing } => poll_own(words, flushing, cx),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } | Kind::Running { body, .. } => body.is_end_stream(),
            Kind::Own { words, .. } => words.event.is_none() && matches!(words.end, End::Clean),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } | Kind::Running { body, .. } => body.size_hint(),
            Kind::Own { words, .. } => {
                SizeHint::with_exact(words.event.as_ref().map_or(0, |chunk| chunk.len() as u64))
            }
        }
    }
}

enum Next {
    Frame(Option<Result<Frame<Bytes>, BoxError>>),
    Cut(LastWords),
}

fn poll_running<B>(
    mut body: Pin<&mut B>,
    running: &mut Running,
    ending: &mut Ending,
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
                // Asked again, since making the frame takes time; but a body that ends at once is
                // not worth registering.
                let goes_on =
                    matches!(&frame, Some(Ok(frame)) if frame.is_data()) && !body.is_end_stream();
                let cut = if goes_on { running.cut() } else { running.seen_cut() };
                let Some(cut) = cut else {
                    if let Some(Ok(frame)) = &frame {
                        frame.data_ref().inspect(|chunk| ending.sent(chunk));
                    }
                    return Poll::Ready(Next::Frame(frame.map(|frame| frame.map_err(Into::into))));
                };
                cut
            }
        },
    };
    running.report(ending.part());
    Poll::Ready(Next::Cut(ending.last_words(cut)))
}

fn poll_own(
    words: &mut LastWords,
    flushing: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    if let Some(chunk) = words.event.take() {
        return Poll::Ready(Some(Ok(Frame::data(chunk))));
    }
    if let Some(flushing) = flushing {
        ready!(flushing.as_mut().poll(cx));
    }
    match std::mem::replace(&mut words.end, End::Clean) {
        End::Clean => Poll::Ready(None),
        End::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(*trailers)))),
        End::Broken(cut) => Poll::Ready(Some(Err(Box::new(CutError::new(cut))))),
        End::BrokenAfter(cut, flush) => {
            words.end = End::Broken(cut);
            match flush {
                // Whoever writes flushes when the body waits, and asks again at once.
                Flush::AtOnce => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Flush::After(time) => {
                    let mut sleep = Box::pin(sleep(time));
                    let poll = sleep.as_mut().poll(cx);
                    *flushing = Some(sleep);
                    ready!(poll);
                    poll_own(words, flushing, cx)
                }
            }
        }
    }
}
