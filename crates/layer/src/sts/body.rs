//! The body of a request to the STS: passed on unread, or read completely and replayed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a request behind an [`StsLayer`](crate::StsLayer).
    #[derive(Debug)]
    pub struct StsBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        Untouched { #[pin] body: B },
        Replayed { buffered: BufferedBody },
    }
}

/// A body that was read, in one buffer. Its memory depends on the number of bytes, not on the
/// number of frames.
#[derive(Debug, Default)]
pub(super) struct BufferedBody {
    pub(super) data: BytesMut,
    pub(super) trailers: Option<HeaderMap>,
}

impl BufferedBody {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.data.is_empty() {
            return self.trailers.take().map(Frame::trailers);
        }
        Some(Frame::data(std::mem::take(&mut self.data).freeze()))
    }
}

impl<B> StsBody<B> {
    pub(super) const fn untouched(body: B) -> Self {
        Self { kind: Kind::Untouched { body } }
    }

    pub(super) const fn replayed(buffered: BufferedBody) -> Self {
        Self { kind: Kind::Replayed { buffered } }
    }
}

impl<B: Body<Data = Bytes>> Body for StsBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Untouched { body } => body.poll_frame(cx),
            KindProjection::Replayed { buffered } => Poll::Ready(buffered.next().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Untouched { body } => body.is_end_stream(),
            Kind::Replayed { buffered } => buffered.data.is_empty() && buffered.trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Untouched { body } => body.size_hint(),
            Kind::Replayed { buffered } => SizeHint::with_exact(buffered.data.len() as u64),
        }
    }
}
