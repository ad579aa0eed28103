//! Tower layers that deny revoked mandates, for axum, hyper and every other user of
//! [`tower_service::Service`] with [`http`] types.
//!
//! [`GatewayLayer`] asks a [`Revocations`] about each request's [`Claims`]. Only an admitted
//! request reaches the service behind it. The layer answers every other request itself, with the
//! [`RequestDenial`] in the response's extensions:
//!
//! ```
//! use bytes::Bytes;
//! use caracal_revocation_event::{KeyRing, Message, Stream};
//! use caracal_revocation_layer::{GatewayLayer, GuardedRequestBody, RequestDenial, RequestDenialKind};
//! use caracal_revocation_state::{Admission, Claims, Options, RevocationsWriter};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # type Never = std::convert::Infallible;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let writer = RevocationsWriter::new(Options::default());
//! let gateway = GatewayLayer::new(writer.reader()).layer(service_fn(
//!     async |request: Request<GuardedRequestBody<()>>| {
//!         assert!(request.extensions().get::<Admission>().is_some());
//!         Ok::<_, Never>(Response::new(Full::<Bytes>::from("hello")))
//!     },
//! ));
//!
//! // The layer that verifies tokens is outside, and leaves their claims.
//! let issued = i64::try_from(writer.now().wall.as_secs())?;
//! let mut request = Request::new(());
//! request.extensions_mut().insert(Claims::new("ar-1", issued, issued + 900));
//!
//! // The log is not proven complete yet: an outage, not a revocation.
//! let response = gateway.clone().oneshot(request.clone()).await?;
//! assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
//!
//! writer.confirm(writer.now());
//! let response = gateway.clone().oneshot(request.clone()).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! let fields: [(&[u8], &[u8]); 1] = [(b"sid", b"ar-1")];
//! let message = Message::new(Stream::SessionsRevoke, &fields);
//! let event = KeyRing::insecure_accept_unsigned().verify(&message)?;
//! writer.apply(&event, writer.now());
//!
//! let response = gateway.oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! let rejection = response.extensions().get::<RequestDenial>().map(RequestDenial::kind);
//! assert_eq!(rejection, Some(RequestDenialKind::Revoked));
//! # Ok(())
//! # }
//! ```
//!
//! # Identity
//!
//! An [`Admission`] carries the identity that a request was decided on. Layers and handlers inside
//! read it there, with [`Admission::claims`], and nowhere else: `Claims` and `Authority` of the
//! extensions are moved into it, or removed where another layer left them. A `Mandate` stays only
//! if it is the one that the layer verified. An admission by another state is denied
//! (`other_state`); layers in front of one service must share one [`Revocations`].
//!
//! # Reading order
//!
//! 1. [`GatewayLayer`] and [`ResourceLayer`] wrap a service in a [`Guarded`]. The service gets
//!    requests with a [`GuardedRequestBody`]; the caller gets a [`GuardedFuture`] and a [`GuardedResponseBody`].
//! 2. [`RequestDenial`] is the reason of a denial, and [`Observed`] the outcome of a request that was
//!    only observed.
//! 3. [`CutOptions`] has the options for running requests. The [`RevokedSignal`] of an [`Admission`]
//!    informs a handler of a cut.
//! 4. [`StsLayer`] goes in front of a token endpoint. `PolicyLayer` (feature `opa`) goes behind a
//!    gateway layer, and asks the zone's policy about each request.
//! 5. [`Operations`] is a service for probes and scrapes.
//!
//! # Answers
//!
//! `{"error", "error_description", "requestId"}` as JSON, with `error_hint` from a resource
//! server: 401 `invalid_token`, or 503 `sts_unavailable` while the state is unknown; a resource
//! server is more exact ([`ResourceLayer`] has the table). `X-Request-Id` is the client's own, or a new
//! UUID (version 7) where that is not 1 to 128 bytes of visible ASCII.
//!
//! A call over gRPC gets status 200 and the denial in `grpc-status`. Only an HTTP/2 `POST` with
//! `te: trailers` and a content type of gRPC is such a call, or every request over HTTP/2 with
//! [`GatewayLayer::grpc_only`]. With one header, a client could otherwise turn a denial into a 200,
//! which a proxy that asks for a decision takes for a yes.
//!
//! An `Authorization` header that is not clearly one bearer token never admits a request, also if
//! another layer verified it:
//!
//! | header | answer |
//! |---|---|
//! | none, `Bearer` without a token, or another scheme | 401 `invalid_token` (a resource server: `missing_token`), and a challenge without an error code; verified claims of another layer still count |
//! | `bearer`, `BEARER`, several spaces after it | read as `Bearer` and one space |
//! | a tab or anything else than spaces after the scheme, a second token, other characters than RFC 6750 names | 401 `invalid_token` |
//! | two headers of any content, as proxies may join them to one | 401 `invalid_token` |
//! | more than 4096 bytes | 401 `invalid_token` |
//!
//! Answers 401 and 403 carry `WWW-Authenticate` (RFC 6750): the error, the scopes that the layer
//! requires, and `resource_metadata` where [`ResourceLayer::with_resource_metadata`] names it.
//!
//! # Among other layers
//!
//! The request's body behind these layers is a [`GuardedRequestBody`], the response's body in front of
//! them a [`GuardedResponseBody`]. axum's `Router` takes bodies of any type: added with `Router::layer`, one
//! by one or as a [`ServiceBuilder`], nothing is left to do, and `axum::middleware::from_fn` may
//! stand outside. Two places want a body of axum's own, and a closure makes it. One is `from_fn`
//! inside, in the same `ServiceBuilder`:
//!
//! ```
//! use axum::body::Body;
//! use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response};
//! # use caracal_revocation_layer::{GatewayLayer, GuardedRequestBody};
//! use tower::ServiceBuilder;
//!
//! async fn authenticate(request: Request, next: Next) -> Response { next.run(request).await }
//! async fn audit(request: Request, next: Next) -> Response { next.run(request).await }
//!
//! # fn example(router: Router, gateway: GatewayLayer) -> Router {
//! router.layer(
//!     ServiceBuilder::new()
//!         .layer(from_fn(authenticate))
//!         .layer(gateway)
//!         .map_request(|request: http::Request<GuardedRequestBody<Body>>| request.map(Body::new))
//!         .layer(from_fn(audit)),
//! )
//! # }
//! ```
//!
//! The other is `axum::serve`, for a layer around the whole router. A router's fallback takes it as
//! it is; by itself it needs its response mapped:
//!
//! ```
//! # use axum::{Router, body::Body, extract::Request};
//! # use caracal_revocation_layer::{GatewayLayer, GuardedResponseBody};
//! # use tower::{Layer, ServiceBuilder};
//! # async fn example(
//! #     listener: tokio::net::TcpListener, router: Router, gateway: GatewayLayer,
//! # ) -> std::io::Result<()> {
//! let app = Router::new().fallback_service(gateway.layer(router.clone()));
//! axum::serve(listener, app).await?;
//!
//! let app = ServiceBuilder::new()
//!     .map_response(|response: http::Response<GuardedResponseBody<Body>>| response.map(Body::new))
//!     .layer(gateway)
//!     .service(router);
//! let app = axum::ServiceExt::<Request>::into_make_service(app);
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! With hyper's own `service_fn`, each request is given to a clone of the guarded service:
//!
//! ```
//! # use bytes::Bytes;
//! # use caracal_revocation_layer::{GatewayLayer, GuardedRequestBody};
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use hyper::body::Incoming;
//! # use tower::{Layer, ServiceExt};
//! # async fn hello(_: Request<GuardedRequestBody<Incoming>>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> { Ok(Response::default()) }
//! # fn example(
//! #     gateway: GatewayLayer, io: hyper_util::rt::TokioIo<tokio::net::TcpStream>,
//! # ) {
//! let guarded = gateway.layer(tower::service_fn(hello));
//! let service = hyper::service::service_fn(move |request| guarded.clone().oneshot(request));
//! hyper::server::conn::http1::Builder::new().serve_connection(io, service);
//! # }
//! ```
//!
//! **CORS** goes outside, as with every layer that denies: a browser sends its preflight without a
//! token, and reads a denial only if it carries CORS headers. With `Router::layer`, the layer that is
//! added last is the outermost: add first this layer, then the one that verifies tokens, then
//! tower-http's `CorsLayer`, with `expose_headers` for `WWW-Authenticate` and `X-Request-Id`.
//!
//! [`ServiceBuilder`]: https://docs.rs/tower/0.5/tower/struct.ServiceBuilder.html
//!
//! # What is already running
//!
//! A request is also cut while it runs, once a new one on the same token would be refused, and 60
//! seconds after the token's `exp`: within the task that serves it, at once, whatever it waits
//! for. A revocation wakes the requests that run on the revoked anchor, and no others.
//!
//! | what runs | how it ends |
//! |---|---|
//! | a handler that has not answered | dropped at its next await; the client gets the denial |
//! | a request's body | reading it fails with a [`CutError`] |
//! | a response to a client that sent `TE: trailers`, and not through a proxy | cleanly, with the announced trailer `X-Caracal-Revoked: true`; not if its length was announced |
//! | any other response | broken off: HTTP/1.1 closes the connection short, HTTP/2 resets the stream |
//! | a response without a length, to HTTP/1.0 | it never starts: see below |
//! | server-sent events | first `event: revoked` with a reason as JSON, if the last event was whole, no length was announced and nothing is compressed; then as above |
//! | gRPC | status 16 with an `ErrorInfo` in its details |
//! | a WebSocket, or any other upgraded connection | only by its handler, which must await the [`RevokedSignal`]; with axum and the feature `ws`, `GuardedWebSocket` does that, and closes with code 4401 |
//!
//! What cuts: a revoked or suspended anchor, of the chain too; a delegation epoch that moved on,
//! where that is checked; a raised horizon, since revocations may have been lost; `exp`. What does
//! not: invalidated keys and policies, which say nothing of a token that was admitted; and an
//! unknown state, unless [`CutOptions::when_unknown`] asks for it.
//!
//! The limits. "Cut" means that nothing more is handed to the server: what hyper and the kernel
//! have buffered by then may still arrive, and over HTTP/2 one chunk that waits for the client's
//! window. A handler that never awaits cannot be stopped, nor can a task that it spawned. A
//! connection on which a client has stopped reading stays open, sending nothing, until a timeout
//! of yours ends it; on Linux the shortest is the socket's `TCP_USER_TIMEOUT`, which bounds how
//! long what was sent may wait:
//!
//! ```no_run
//! # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! let (stream, _) = listener.accept().await?;
//! # #[cfg(target_os = "linux")]
//! socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(std::time::Duration::from_secs(20)))?;
//! # Ok(())
//! # }
//! ```
//!
//! # A cut response never looks whole
//!
//! **HTTP/1.0** (the default of nginx before 1.29.7 towards its upstreams) ends a response without
//! a length by closing the connection, and so would a cut. Such a response is therefore held until
//! it ends, for at most 10 seconds and 1 MiB, and sent with its length. One that does not end by
//! then, and every event stream, is answered 505 `http_version_not_supported`. Set
//! `proxy_http_version 1.1` in nginx. [`CutOptions::insecure_stream_to_http10`] streams all the same.
//!
//! **Trailers.** The clean end counts on the trailer's arrival. Only `TE` with the bare word
//! `trailers` counts, as it does for hyper; a weight such as `trailers;q=0.5` does not. A proxy
//! that passes `TE` on and drops trailers would make the first part of a response look like all of
//! it. A request with `Via`, `Forwarded` or `X-Forwarded-…` is therefore broken off:
//!
//! | proxy, as it comes | `TE: trailers` | trailer | the client sees |
//! |---|---|---|---|
//! | nginx 1.22 | stripped | | a response that breaks off |
//! | nginx 1.22 with `proxy_set_header TE $http_te` | passed on | dropped | a whole response: do not set it, or choose [`CutOptions::without_trailer`] |
//! | HAProxy 2.6 | passed on | sent on | the trailer |
//! | Envoy 1.40 | passed on, with `X-Forwarded-Proto` | dropped, unless `enable_trailers` is set on both sides | a response that breaks off; the trailer with [`CutOptions::trailer_through_proxies`] and `enable_trailers` |
//!
//! **Layers outside this one** see the cut as an error of the body, or as the trailer. They must
//! not
//!
//! - collect a body and answer with what came before the error or without the trailers;
//! - turn an error of the body into its end, or drop trailers;
//! - remove or replace the response's `Trailer`, or add `TE` to the request: hyper then drops the
//!   trailer silently;
//! - remove a length, as compression does: over HTTP/1.0 only the end of the connection would
//!   then delimit the response. Compress inside this layer instead.
//!
//! # Metrics
//!
//! Counted through the [`metrics`](::metrics) facade. The handles are registered when a layer is made, so
//! install the recorder first. Counts before that are lost.
//!
//! | counter | counts |
//! |---|---|
//! | `caracal_gateway_denials_total{reason}` | every denied request |
//! | `caracal_gateway_denials_revoked_total` | those of revoked, suspended or stale authority |
//! | `caracal_gateway_denials_revocation_stale_total` | those for want of a fresh enough state |
//! | `caracal_gateway_cuts_total{part,reason}` | running requests that were cut, each once, by the part that ended first: `handler`, `upload`, `response`, `event_stream`, `grpc` or `signal` |
//! | `caracal_gateway_observed_denials_total{reason}` | requests that went on only because of [`GatewayLayer::insecure_observe_only`] |
//! | `caracal_revocation_lag_seconds{stage="enforced"}` | a histogram: from a revocation's arrival here to the first request refused for it |
//!
//! A [`ResourceLayer`] counts under `caracal_resource_…`, an [`StsLayer`] under `caracal_sts_…`; a
//! `PolicyLayer` counts denied requests under `caracal_sts_opa_denials_total{reason}`.
//!
//! # Log
//!
//! One event a denial, at level info, target `caracal_revocation::denial`. It never holds the
//! token, nor the id of an anchor. The same for a cut, with the target `caracal_revocation::cut`.
//!
//! [`Admission`]: caracal_revocation_state::Admission
//! [`Admission::claims`]: caracal_revocation_state::Admission::claims
//! [`Claims`]: caracal_revocation_state::Claims
//! [`Revocations`]: caracal_revocation_state::Revocations
//! [`RevokedSignal`]: caracal_revocation_state::RevokedSignal

mod answer;
mod bearer;
mod challenge;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod guarded;
mod limits;
mod log;
mod metrics;
mod operations;
#[cfg(feature = "opa")]
mod policy;
mod rejection;
mod rejection_kind;
mod resource;
mod sts;
mod unverified;
#[cfg(feature = "ws")]
mod websocket;

pub use crate::metrics::LAG_BUCKETS;
pub use challenge::ResourceMetadataError;
pub use gateway::GatewayLayer;
pub use guarded::{
    BoxError, CutError, CutOptions, Guarded, GuardedFuture, GuardedRequestBody,
    GuardedResponseBody, Observed,
};
pub use operations::Operations;
#[cfg(feature = "prometheus")]
pub use operations::{Exporter, ExporterError};
#[cfg(feature = "opa")]
pub use policy::{
    BuildInput, ClaimsInput, PolicyDenial, PolicyDenialKind, PolicyFuture, PolicyGuard,
    PolicyLayer, RequestFacts,
};
pub use rejection::RequestDenial;
pub use rejection_kind::RequestDenialKind;
pub use resource::ResourceLayer;
pub use sts::{Sts, StsBody, StsFuture, StsLayer};
#[cfg(feature = "ws")]
pub use websocket::GuardedWebSocket;
