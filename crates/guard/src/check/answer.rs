//! The answers to checks, in the statuses that proxies know.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::routes::GuardBody;

/// The status of a denial that the proxy must see as 403.
const X_CARACAL_STATUS: HeaderName = HeaderName::from_static("x-caracal-status");

/// The body of a denial. nginx does not read the body itself.
const X_CARACAL_BODY: HeaderName = HeaderName::from_static("x-caracal-body");

/// The statuses that a proxy can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 200, 401, 403 and 503.
    Http,
    /// 200, 401 and 403: nginx turns any other status into 500.
    Nginx,
}

impl Dialect {
    fn knows(self, status: StatusCode) -> bool {
        match status {
            StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
            StatusCode::SERVICE_UNAVAILABLE => self == Self::Http,
            _ => false,
        }
    }

    /// Translates the answer of the decision. A status that the proxy does not know becomes 403,
    /// with the status in a header.
    pub(super) async fn translate(self, answer: Response<GuardBody>) -> Response<GuardBody> {
        let (mut head, body) = answer.into_parts();
        head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !self.knows(head.status) {
            head.headers.insert(X_CARACAL_STATUS, head.status.as_u16().into());
            head.status = StatusCode::FORBIDDEN;
        }
        if self == Self::Http || head.status == StatusCode::OK {
            return Response::from_parts(head, body);
        }
        // A denial's body is complete: it has no frame to wait for.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if let Ok(value) = HeaderValue::from_bytes(&body) {
            head.headers.insert(X_CARACAL_BODY, value);
        }
        Response::from_parts(head, whole(body))
    }
}

/// Returns the answer to a request for another path than `/check`.
pub(super) fn not_found() -> Response<GuardBody> {
    const BODY: &str = r#"{"error":"not_found","error_description":"ask at /check"}"#;
    let mut answer = Response::new(whole(BODY.into()));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn whole(body: Bytes) -> GuardBody {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn translate(dialect: Dialect, status: u16) -> (u16, Option<String>, Option<String>) {
        let mut answer = Response::new(whole("{}".into()));
        *answer.status_mut() = status.try_into().unwrap();
        let answer = dialect.translate(answer).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let header = |name: &HeaderName| {
            answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        (answer.status().as_u16(), header(&X_CARACAL_STATUS), header(&X_CARACAL_BODY))
    }

    #[tokio::test]
    async fn translates_statuses_that_proxies_do_not_know() {
        for status in [200, 401, 403, 503] {
            assert_eq!(translate(Dialect::Http, status).await, (status, None, None));
        }
        for status in [204, 400, 404, 413, 500, 505] {
            let answer = translate(Dialect::Http, status).await;
            assert_eq!(answer, (403, Some(status.to_string()), None));
        }
    }

    #[tokio::test]
    async fn translates_outage_for_nginx() {
        let body = Some("{}".to_owned());
        assert_eq!(translate(Dialect::Nginx, 200).await, (200, None, None));
        for status in [401, 403] {
            assert_eq!(translate(Dialect::Nginx, status).await, (status, None, body.clone()));
        }
        for status in [400, 503, 505] {
            let answer = translate(Dialect::Nginx, status).await;
            assert_eq!(answer, (403, Some(status.to_string()), body.clone()));
        }
    }
}
