//! The response's body: the service's, untouched, or the refusal in one chunk.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a [`Guarded`](crate::Guarded) service's response.
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
        Inner { #[pin] body: B },
        Refusal { chunk: Option<Bytes> },
    }
}

impl<B> GuardedBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    pub(crate) const fn refusal(chunk: Bytes) -> Self {
        Self { kind: Kind::Refusal { chunk: Some(chunk) } }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Refusal { chunk } => {
                Poll::Ready(chunk.take().map(|chunk| Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { chunk } => chunk.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { chunk } => {
                SizeHint::with_exact(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderMap;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn forwards_every_frame_of_the_service_trailers_too() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", "7".parse().unwrap());
        let frames: Vec<Result<_, Infallible>> = vec![
            Ok(Frame::data(Bytes::from("a"))),
            Ok(Frame::data(Bytes::from("b"))),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let body = GuardedBody::inner(StreamBody::new(futures_util::stream::iter(frames)));
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn knows_its_size_and_its_end() {
        let inner = GuardedBody::inner(Full::new(Bytes::from("inner")));
        assert_eq!((inner.size_hint().exact(), inner.is_end_stream()), (Some(5), false));
        assert!(GuardedBody::inner(Full::new(Bytes::new())).is_end_stream());

        let mut refusal = GuardedBody::<Full<Bytes>>::refusal(Bytes::from("no"));
        assert_eq!((refusal.size_hint().exact(), refusal.is_end_stream()), (Some(2), false));
        assert_eq!(refusal.frame().await.unwrap().unwrap().into_data().unwrap(), "no");
        assert_eq!((refusal.size_hint().exact(), refusal.is_end_stream()), (Some(0), true));
        assert!(refusal.frame().await.is_none());
    }
}
