//! The client of one OPA server. Each request has a time limit.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::EvaluationError;
use crate::limits::{
    CONNECT_TIMEOUT, IDLE_CONNECTION, MAX_ANSWER, MAX_ERROR_TEXT, SERVER_CONNECTIONS,
    SERVER_TIMEOUT,
};

/// An OPA server: its address, its token and the limits of requests to it.
///
/// ```
/// use caracal_revocation_opa::OpaServer;
/// let opa = OpaServer::new("http://127.0.0.1:8181")?.with_connections(16);
/// assert!(OpaServer::new("127.0.0.1").is_err());
/// # drop(opa);
/// # Ok::<(), caracal_revocation_opa::OpaServerError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpaServer {
    pub(super) base: Arc<str>,
    token: Option<HeaderValue>,
    pub(super) timeout: Duration,
    permits: Arc<Semaphore>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An address or a token that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpaServerError {
    /// The address is not `http://host`, with an optional port and path. For TLS, use a proxy next
    /// to the service.
    #[error("the address is not of the form http://host:port")]
    Address,
    /// The token cannot be sent in a header.
    #[error("the token has characters that a header cannot hold")]
    Token,
}

/// A response of OPA.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl OpaServer {
    /// Creates the client of the server at this address. By default a request may take 1 second,
    /// and 32 requests may run at a time.
    ///
    /// # Errors
    ///
    /// [`OpaServerError::Address`] if the address has another form.
    pub fn new(address: &str) -> Result<Self, OpaServerError> {
        let uri: Uri = address.trim().parse().map_err(|_| OpaServerError::Address)?;
        let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        if !is_plain || uri.host().is_none_or(str::is_empty) {
            return Err(OpaServerError::Address);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(SERVER_CONNECTIONS)
            .build(connector);
        Ok(Self {
            base: address.trim().trim_end_matches('/').into(),
            token: None,
            timeout: SERVER_TIMEOUT,
            permits: Arc::new(Semaphore::new(SERVER_CONNECTIONS)),
            client,
        })
    }

    /// Sends this bearer token, for an OPA that runs with `--authentication=token`.
    ///
    /// # Errors
    ///
    /// [`OpaServerError::Token`] if a header cannot hold the token.
    pub fn with_token(mut self, token: &str) -> Result<Self, OpaServerError> {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| OpaServerError::Token)?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    /// Sets the time limit of one request, including the wait for its turn.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the number of requests that may run at a time, each on its own connection.
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.permits = Arc::new(Semaphore::new(connections.max(1)));
        self
    }

    /// Sends a request. The error text never holds the content of the request.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content: Content<'_>,
    ) -> Result<Answer, String> {
        tokio::time::timeout(self.timeout, self.send_without_limit(method, path, content))
            .await
            .unwrap_or_else(|_| Err(format!("no response within {:?}", self.timeout)))
    }

    async fn send_without_limit(
        &self,
        method: Method,
        path: &str,
        content: Content<'_>,
    ) -> Result<Answer, String> {
        let permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let (kind, body) = match content {
            Content::None => (None, Bytes::new()),
            Content::Json(json) => (Some("application/json"), json),
            Content::Rego(source) => {
                (Some("text/plain"), Bytes::copy_from_slice(source.as_bytes()))
            }
        };
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = collect_body(response.into_body(), MAX_ANSWER).await;
        let body = body.ok_or("the response is incomplete or too long")?;
        drop(permit);
        Ok(Answer { status, body })
    }
}

/// Reads a body into one buffer. Returns `None` if the body is longer than the limit, or is cut
/// off. `BodyExt::collect` would keep about 32 more bytes for each chunk.
async fn collect_body<B>(body: B, longest: usize) -> Option<Bytes>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut body = pin!(Limited::new(body, longest));
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Some(bytes.freeze())
}

/// The content of a request.
#[derive(Clone)]
pub(super) enum Content<'a> {
    None,
    Json(Bytes),
    Rego(&'a str),
}

impl Content<'_> {
    /// Serializes a value, which never fails for the types that are sent here.
    pub(super) fn json(value: &impl Serialize) -> Self {
        Self::Json(serde_json::to_vec(value).unwrap_or_default().into())
    }
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        let read = serde_json::from_slice(&self.body);
        read.map_err(|_| format!("{}: the response is not OPA's documented JSON", self.status))
    }

    /// Returns OPA's error code, such as `invalid_parameter`.
    pub(super) fn code(&self) -> String {
        let body: Value = self.json().unwrap_or_default();
        body.get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Returns OPA's error text, cut short.
    pub(super) fn error_text(&self) -> String {
        let body: Value = self.json().unwrap_or_default();
        let text = |at| body.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let message = format!("{} {} {}", self.status, text("/message"), text("/errors/0/message"));
        message.trim().chars().take(MAX_ERROR_TEXT).collect()
    }
}

/// A response of OPA's data API. Without a `result`, the value is undefined.
#[derive(Deserialize)]
pub(super) struct Answered<T> {
    pub(super) result: Option<T>,
    pub(super) provenance: Option<Value>,
}

/// Reads a response of the data API.
pub(super) fn answered<T: DeserializeOwned>(
    answer: Result<Answer, String>,
) -> Result<Answered<T>, EvaluationError> {
    let answer = answer.map_err(EvaluationError::Unreachable)?;
    match answer.status {
        StatusCode::OK => answer.json().map_err(EvaluationError::Unreachable),
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_REQUEST => {
            Err(EvaluationError::Failed(answer.error_text()))
        }
        _ => Err(EvaluationError::Unreachable(answer.error_text())),
    }
}

impl fmt::Debug for OpaServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaServer").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// A body of this many bytes, one byte per chunk.
    struct Chunks(usize);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
            self.0 = left;
            Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(b"a")))))
        }
    }

    #[test]
    fn response_memory_depends_on_bytes_not_chunks() {
        let longest = 256 * 1024;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let used = allocation_counter::measure(|| {
            let read = runtime.block_on(collect_body(Chunks(longest), longest));
            assert!(read.is_some_and(|read| read.len() == longest));
        });
        assert!(used.bytes_max < 4 * longest as u64, "{used:?}");
        assert_eq!(runtime.block_on(collect_body(Chunks(longest + 1), longest)), None);
    }
}
