//! The service that answers checks.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use caracal_revocation::gateway::RequestDenialKind;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt;
use tower::Service;

use super::answer::{Dialect, not_found};
use super::original::original;
use crate::decider::{Decider, question};
use crate::routes::{GuardBody, Routes};

/// The longest body that is read and ignored, in bytes. After a longer one the connection is
/// closed.
const LONGEST_BODY: usize = 64 * 1024;

/// The time in which an ignored body must arrive. Proxies wait about 500 ms for an answer.
const BODY_WITHIN: Duration = Duration::from_millis(200);

/// Answers `/check` and every path below it.
#[derive(Clone)]
pub(crate) struct Checks {
    http: Decider,
    nginx: Decider,
}

impl Checks {
    pub(crate) fn new(routes: &Routes) -> Self {
        Self { http: Decider::new("check", routes), nginx: Decider::new("nginx", routes) }
    }

    /// Decides by these routes from here on.
    pub(crate) fn reload(&self, routes: &Routes) {
        self.http.reload(routes);
        self.nginx.reload(routes);
    }

    async fn answer<B: Body + Send>(self, request: Request<B>) -> Response<GuardBody> {
        let (check, body) = request.into_parts();
        let (dialect, decider, suffix) = match check.uri.path().strip_prefix("/check") {
            Some("/nginx") => (Dialect::Nginx, &self.nginx, ""),
            Some(suffix) if suffix.is_empty() || suffix.starts_with('/') => {
                (Dialect::Http, &self.http, suffix)
            }
            _ => return closing_unless(is_read(body).await, check.version, not_found()),
        };
        let original = original(&check, suffix);
        let described = original.clone().unwrap_or_default();
        let question = question(described.0, described.1, &check.headers);
        let answer = if check.method == Method::CONNECT {
            // A 2xx answer to CONNECT would turn this connection into a tunnel.
            decider.deny(RequestDenialKind::AmbiguousPath, &question)
        } else if original.is_none() {
            decider.decide_undescribed(question).await
        } else {
            decider.decide(question).await
        };
        let answer = dialect.translate(answer).await;
        closing_unless(is_read(body).await, check.version, answer)
    }
}

/// Reads a body that is ignored. Returns `true` if it ended.
async fn is_read<B: Body>(body: B) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let read = async {
        let (mut body, mut length) = (pin!(body), 0);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            length += frame.data_ref().map_or(0, bytes::Buf::remaining);
            if length > LONGEST_BODY {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(BODY_WITHIN, read).await.unwrap_or(false)
}

/// Announces that the connection is closed, unless the request was read to its end. HTTP/2 resets
/// the stream instead.
fn closing_unless(
    is_read: bool,
    version: Version,
    mut answer: Response<GuardBody>,
) -> Response<GuardBody> {
    if !is_read && version < Version::HTTP_2 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

impl<B: Body + Send + 'static> Service<Request<B>> for Checks {
    type Response = Response<GuardBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.clone().answer(request);
        Box::pin(async move { Ok(answer.await) })
    }
}
