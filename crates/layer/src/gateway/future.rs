//! The response to come: the service's, or the refusal.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::guard::Denial;
use crate::GatewayBody;
use crate::answer::respond;

pin_project! {
    /// The future of a [`Gateway`](crate::Gateway).
    #[derive(Debug)]
    pub struct GatewayFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<F> {
        Inner { #[pin] future: F },
        Denied { denial: Denial },
    }
}

impl<F> GatewayFuture<F> {
    pub(super) const fn inner(future: F) -> Self {
        Self { kind: Kind::Inner { future } }
    }

    pub(super) const fn denied(denial: Denial) -> Self {
        Self { kind: Kind::Denied { denial } }
    }
}

impl<F, B, E> Future for GatewayFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<GatewayBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().kind.project() {
            KindProjection::Inner { future } => {
                ready!(future.poll(cx)).map(|response| response.map(GatewayBody::inner))
            }
            KindProjection::Denied { denial } => {
                let response = respond(&denial.rejection, &denial.request_id);
                Ok(response.map(GatewayBody::refusal))
            }
        })
    }
}
