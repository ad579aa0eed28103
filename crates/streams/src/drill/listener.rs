//! Serves the metrics of repeated drills: `GET /metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::outcome::Failure;

/// The time in which a client must send the headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, such as without free file descriptors.
const PAUSE: Duration = Duration::from_millis(500);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// Binds the address. The error names the setting.
pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure::new(format!("--metrics-listen {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Answers requests. Never ends.
pub(super) async fn serve(listener: TcpListener, exporter: PrometheusHandle) {
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let exporter = exporter.clone();
        let service = service_fn(move |request| {
            let answer = answer(&request, &exporter);
            async move { Ok::<_, Infallible>(answer) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
        // A client that breaks off concerns only itself.
        tokio::spawn(http.serve_connection(TokioIo::new(connection), service));
    }
}

fn answer<B>(request: &Request<B>, exporter: &PrometheusHandle) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        *response.body_mut() = Full::from(exporter.render());
    }
    response
}
