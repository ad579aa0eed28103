//! The layers combined with those of axum, tower, tower-http and hyper, as services use them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic, their helpers too"
)]

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use caracal_revocation_layer::{GatewayLayer, GuardedRequestBody, GuardedResponseBody, Operations};
use caracal_revocation_state::{
    Admission, BaselineFact, Claims, ManualClock, Options, Revocations, RevocationsWriter,
};
use http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::cors::CorsLayer;

/// Returns a fresh state with one revoked session.
fn revocations() -> Revocations {
    let clock = std::sync::Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock);
    revocations.confirm(revocations.now());
    revocations.add(&BaselineFact::Revoked("revoked"), revocations.now());
    revocations.reader()
}

fn gateway() -> GatewayLayer {
    GatewayLayer::new(revocations())
}

/// Inserts claims whose session is the bearer token.
fn identify<B>(mut request: http::Request<B>) -> http::Request<B> {
    let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(session) = value.and_then(|value| value.strip_prefix("Bearer ")) {
        let claims = Claims::new(session, 1_795_400_000, 1_795_403_600);
        request.extensions_mut().insert(claims);
    }
    request
}

async fn authenticate(request: Request, next: Next) -> Response {
    next.run(identify(request)).await
}

/// A middleware inside the layer: it sees only admitted requests.
async fn audit(admission: Extension<Admission>, request: Request, next: Next) -> Response {
    let session = admission.claims().map(|claims| claims.sid.to_string()).unwrap_or_default();
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-session", session.parse().unwrap());
    response
}

async fn hello(body: String) -> String {
    format!("hello {body}")
}

fn router() -> Router {
    Router::new().route("/", get(hello).post(hello))
}

fn request(method: Method, path: &str, token: Option<&str>) -> Request {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::from("you")).unwrap()
}

async fn send(app: &Router, request: Request) -> (u16, HeaderMap, String) {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Asserts that one session is admitted, and that a revoked one and a missing one are denied.
async fn guards(app: &Router) {
    let (status, _, body) = send(app, request(Method::POST, "/", Some("good"))).await;
    assert_eq!((status, body.as_str()), (200, "hello you"));
    for token in [Some("revoked"), None] {
        let (status, headers, _) = send(app, request(Method::POST, "/", token)).await;
        assert_eq!(status, 401, "{token:?}");
        assert!(headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn guards_inside_from_fn_in_a_service_builder() {
    let layers = ServiceBuilder::new().layer(from_fn(authenticate)).layer(gateway());
    guards(&router().layer(layers)).await;
}

#[tokio::test]
async fn guards_outside_from_fn_in_a_service_builder() {
    let layers = ServiceBuilder::new()
        .layer(from_fn(authenticate))
        .layer(gateway())
        .map_request(|request: http::Request<GuardedRequestBody<Body>>| request.map(Body::new))
        .layer(from_fn(audit));
    let app = router().layer(layers);
    guards(&app).await;
    let (_, headers, _) = send(&app, request(Method::GET, "/", Some("good"))).await;
    assert_eq!(headers["x-session"], "good");
}

#[tokio::test]
async fn guards_between_two_from_fn_in_a_router() {
    let app = router().layer(from_fn(audit)).layer(gateway()).layer(from_fn(authenticate));
    guards(&app).await;
    let (_, headers, _) = send(&app, request(Method::GET, "/", Some("good"))).await;
    assert_eq!(headers["x-session"], "good");
}

/// Starts an axum server on a free port.
macro_rules! serve {
    ($app:expr) => {{
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, $app).await });
        address
    }};
}

struct TestClient(Client<HttpConnector, Empty<Bytes>>);

impl TestClient {
    fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    async fn send(&self, method: Method, at: SocketAddr, path: &str, token: &str) -> (u16, Bytes) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{at}{path}"))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::new())
            .unwrap();
        let response = self.0.request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn is_guarded(&self, at: SocketAddr) {
        assert_eq!(self.send(Method::GET, at, "/", "good").await.0, 200);
        assert_eq!(self.send(Method::GET, at, "/", "revoked").await.0, 401);
    }
}

#[tokio::test]
async fn axum_serves_a_router_behind_the_layer() {
    let layers = ServiceBuilder::new().map_request(identify::<Body>).layer(gateway());
    // As the fallback of a router, which accepts bodies of any type.
    let app = Router::new().fallback_service(layers.clone().service(router()));
    let at = serve!(app);
    TestClient::new().is_guarded(at).await;
    // Alone: `axum::serve` accepts only responses with axum's own body.
    let boxed = |response: http::Response<GuardedResponseBody<Body>>| response.map(Body::new);
    let service = ServiceBuilder::new().map_response(boxed).layer(layers).service(router());
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    let at = serve!(service);
    TestClient::new().is_guarded(at).await;
}

#[tokio::test]
async fn hyper_service_fn_serves_a_guarded_service() {
    let guarded = ServiceBuilder::new()
        .map_request(identify::<Incoming>)
        .layer(gateway())
        .service_fn(async |_: http::Request<GuardedRequestBody<Incoming>>| {
            Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::from("hello")))
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let guarded = guarded.clone();
            let service =
                hyper::service::service_fn(move |request| guarded.clone().oneshot(request));
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    TestClient::new().is_guarded(at).await;
}

const ORIGIN: HeaderValue = HeaderValue::from_static("https://app.example");

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(ORIGIN)
        .allow_methods([Method::POST])
        .allow_headers([AUTHORIZATION])
        .expose_headers([WWW_AUTHENTICATE, "x-request-id".parse().unwrap()])
}

/// Returns a browser's preflight request, which has no token.
fn preflight() -> Request {
    let mut preflight = request(Method::OPTIONS, "/", None);
    for (name, value) in [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ] {
        preflight.headers_mut().insert(name, value.parse().unwrap());
    }
    preflight
}

#[tokio::test]
async fn cors_outside_answers_preflights_and_marks_denials() {
    let app = router().layer(gateway()).layer(from_fn(authenticate)).layer(cors());
    let (status, headers, _) = send(&app, preflight()).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (200, &ORIGIN));
    assert_eq!(headers["access-control-allow-headers"], "authorization");
    for (token, status) in [(Some("good"), 200), (Some("revoked"), 401), (None, 401)] {
        let mut request = request(Method::POST, "/", token);
        request.headers_mut().insert("origin", ORIGIN);
        let (answered, headers, _) = send(&app, request).await;
        assert_eq!((answered, &headers["access-control-allow-origin"]), (status, &ORIGIN));
        assert_eq!(headers["access-control-expose-headers"], "www-authenticate,x-request-id");
    }
    // With CORS inside, the layer denies the preflight.
    let inside = router().layer(cors()).layer(gateway()).layer(from_fn(authenticate));
    let (status, headers, _) = send(&inside, preflight()).await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (401, false));
}

#[tokio::test]
async fn probes_are_answered_under_their_own_paths_only() {
    let operations = Operations::new(revocations());
    let app = router()
        .layer(gateway())
        .layer(from_fn(authenticate))
        .nest_service("/internal", operations.clone())
        .fallback_service(operations);
    let at = serve!(app);
    let client = TestClient::new();
    for (path, status) in [
        ("/health", 200),
        ("/ready", 200),
        ("/internal/health", 200),
        ("/internal/ready", 200),
        ("/metrics", 404),
        ("/orders/health", 404),
        ("/internal/orders/ready", 404),
        ("/orders", 404),
        ("/", 401),
    ] {
        assert_eq!(client.send(Method::GET, at, path, "revoked").await.0, status, "{path}");
        let (head, body) = client.send(Method::HEAD, at, path, "revoked").await;
        assert_eq!((head, body.len()), (status, 0), "{path}");
    }
    assert_eq!(client.send(Method::POST, at, "/ready", "revoked").await.0, 405);
}
