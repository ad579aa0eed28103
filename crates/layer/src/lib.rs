#![cfg_attr(docsrs, feature(doc_cfg))]

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
//! An [`Admission`] carries the identity for which a request was admitted. Inner layers and
//! handlers read the identity there, with [`Admission::claims`], and nowhere else. The layer moves
//! `Claims` and `Authority` from the extensions into the admission, and removes those that another
//! layer left. A `Mandate` stays only if the request was admitted on it.
//!
//! All layers in front of one service must share one [`Revocations`]: a request that was admitted
//! with another one is denied (`other_state`).
//!
//! # Reading order
//!
//! 1. [`GatewayLayer`] and [`ResourceLayer`] wrap a service in a [`Guarded`]. The service gets
//!    requests with a [`GuardedRequestBody`]; the caller gets a [`GuardedFuture`] and a
//!    [`GuardedResponseBody`].
//! 2. [`RequestDenial`] is the reason of a denial. [`Observed`] is the outcome of a request that
//!    was only observed.
//! 3. [`CutOptions`] configures how running requests are cut. The [`RevokedSignal`] of an
//!    [`Admission`] informs a handler of a cut.
//! 4. [`StsLayer`] goes in front of a token endpoint. `PolicyLayer` (feature `opa`) goes behind a
//!    gateway layer, and asks the zone's policy about each request.
//! 5. [`Operations`] is a service for probes and for metrics.
//!
//! # Answers
//!
//! A denied request is answered with `{"error", "error_description", "requestId"}` as JSON; a
//! resource server adds `error_hint`. The answer is 401 `invalid_token`, or 503 `sts_unavailable`
//! while the state is unknown. A resource server has more specific errors: see the table of
//! [`ResourceLayer`]. `X-Request-Id` is the client's own id if that is 1 to 128 bytes of visible
//! ASCII, else a new UUID (version 7).
//!
//! A gRPC call gets status 200 and the denial in `grpc-status`. Only an HTTP/2 `POST` with
//! `te: trailers` and a gRPC content type counts as such a call; with [`GatewayLayer::grpc_only`],
//! every HTTP/2 request does. If one header were enough, a client could turn a denial into a 200.
//! A proxy that asks for a decision treats status 200 as an approval.
//!
//! The layers read the `Authorization` header strictly. A malformed header is denied, even if
//! another layer verified a token:
//!
//! | header | answer |
//! |---|---|
//! | none, `Bearer` without a token, or another scheme | 401 `invalid_token` (a resource server: `missing_token`), and a challenge without an error code; verified claims of another layer still count |
//! | `bearer`, `BEARER`, several spaces after it | read as `Bearer` and one space |
//! | a tab or another character than a space after the scheme, a second token, or characters that RFC 6750 does not allow | 401 `invalid_token` |
//! | two headers with any content, because a proxy may join them into one | 401 `invalid_token` |
//! | more than 4096 bytes | 401 `invalid_token` |
//!
//! Answers 401 and 403 carry `WWW-Authenticate` (RFC 6750): the error, the scopes that the layer
//! requires, and `resource_metadata` if [`ResourceLayer::with_resource_metadata`] sets it.
//!
//! # Combining with other layers
//!
//! Behind these layers, a request has a [`GuardedRequestBody`]. In front of them, a response has a
//! [`GuardedResponseBody`]. axum's `Router::layer` accepts any type of body, so it takes these
//! layers as they are, one by one or in a [`ServiceBuilder`]. `axum::middleware::from_fn` can be
//! outside of them. Two places need axum's own body type, and a closure converts the body there.
//! The first is `from_fn` inside, in the same `ServiceBuilder`:
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
//! The second is `axum::serve`, if the layer wraps the whole router. As the fallback of another
//! router, the guarded service needs no conversion. On its own, its response must be mapped:
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
//! With hyper's own `service_fn`, each request goes to a clone of the guarded service:
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
//! **CORS** goes outside, as with every layer that denies. A browser sends its preflight without a
//! token, and reads a denial only if that carries CORS headers. With `Router::layer`, the layer
//! that is added last is the outermost. Add this layer first, then the one that verifies tokens,
//! then tower-http's `CorsLayer`, with `expose_headers` for `WWW-Authenticate` and `X-Request-Id`.
//!
//! [`ServiceBuilder`]: https://docs.rs/tower/0.5/tower/struct.ServiceBuilder.html
//!
//! # Running requests
//!
//! A running request is cut once a new request on the same token would be denied, and 60 seconds
//! after the token's `exp`. The cut happens at once, inside the task that serves the request, even
//! while that task waits. A revocation wakes only the requests that run on the revoked anchor. If
//! there are many, they are all marked first, and pass nothing from then on. Their tasks are then
//! woken in batches, so that other requests need not wait behind them. Over HTTP/2, a
//! [`ConnectionId`] in the extensions lets the ends of one connection share a write.
//!
//! A cut ends each part of a request as its protocol allows:
//!
//! | running | how it ends |
//! |---|---|
//! | a handler that has not answered | dropped at its next await; the client gets the denial |
//! | a request's body | reading it fails with a [`CutError`] |
//! | a response to a client that sent `TE: trailers`, and not through a proxy | it ends cleanly, with the announced trailer `X-Caracal-Revoked: true`; not if its length was announced |
//! | any other response | broken off: HTTP/1.1 closes the connection early, HTTP/2 resets the stream |
//! | a response without a length, to HTTP/1.0 | it never starts: see below |
//! | server-sent events | first `event: revoked` with a reason as JSON, if the last event was complete, no length was announced and nothing is compressed; then as above |
//! | gRPC | status 16 with an `ErrorInfo` in its details |
//! | a WebSocket, or any other upgraded connection | only its handler can end it, and must await the [`RevokedSignal`]; with axum and the feature `ws`, `GuardedWebSocket` does that, and closes with code 4401 |
//!
//! These events cut running requests, or do not:
//!
//! | event | running requests |
//! |---|---|
//! | an anchor of the token, or of its chain, is revoked or suspended | cut |
//! | the delegation epoch rises, and the layer checks it | cut |
//! | the horizon is raised, because revocations may have been lost | cut |
//! | the grace period after `exp` has passed | cut |
//! | keys or policies are invalidated | go on: an admitted token is not affected |
//! | the state becomes unknown | go on, unless [`CutOptions::when_unknown`] is set |
//!
//! A cut has limits. The layer hands nothing more to the server, but bytes that hyper and the
//! kernel have already buffered may still reach the client. Over HTTP/2, so may one chunk that
//! waits for the client's window. A handler that never awaits cannot be stopped, nor can a task
//! that it spawned. If a client stops reading, its connection stays open without traffic until one
//! of your timeouts ends it. On Linux the shortest is the socket's `TCP_USER_TIMEOUT`, which limits
//! how long data may wait for the client:
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
//! **HTTP/1.0** marks the end of a response without a length by closing the connection; a cut would
//! look the same. nginx before 1.29.7 speaks HTTP/1.0 to its upstreams by default. The layer
//! therefore holds such a response until it ends, for at most 10 seconds and 1 MiB, and sends it
//! with its length. A response that exceeds these limits, and every event stream, is answered 505
//! `http_version_not_supported`. Set `proxy_http_version 1.1` in nginx.
//! [`CutOptions::insecure_stream_to_http10`] streams such responses anyway.
//!
//! **Trailers.** A clean end is safe only if the trailer reaches the client. Only `TE` with the
//! bare word `trailers` counts, as in hyper; a weight such as `trailers;q=0.5` does not. Behind a
//! proxy that passes `TE` on and drops trailers, the first part of a response would look complete.
//! The response to a request with `Via`, `Forwarded` or `X-Forwarded-…` is therefore broken off:
//!
//! | proxy, by default | `TE: trailers` | trailer | the client sees |
//! |---|---|---|---|
//! | nginx 1.22 | stripped | | a response that breaks off |
//! | nginx 1.22 with `proxy_set_header TE $http_te` | passed on | dropped | a response that looks complete: do not set it, or choose [`CutOptions::without_trailer`] |
//! | HAProxy 2.6 | passed on | sent on | the trailer |
//! | Envoy 1.40 | passed on, with `X-Forwarded-Proto` | dropped, unless `enable_trailers` is set on both sides | a response that breaks off; the trailer with [`CutOptions::trailer_through_proxies`] and `enable_trailers` |
//!
//! **Layers outside this one** see the cut as an error of the body, or as the trailer. They must
//! not:
//!
//! - collect a body and answer with the part before the error, or without the trailers;
//! - turn an error of the body into its end, or drop trailers;
//! - remove or replace the response's `Trailer`, or add `TE` to the request: hyper then drops the
//!   trailer silently;
//! - remove a length, as compression does: over HTTP/1.0 only the end of the connection would
//!   then mark the end of the response. Compress inside this layer instead.
//!
//! # Metrics
//!
//! The layers count through the [`metrics`](::metrics) facade. They register their counters when
//! they are created, so install the recorder first: earlier counts are lost.
//!
//! | counter | counts |
//! |---|---|
//! | `caracal_gateway_denials_total{reason}` | every denied request |
//! | `caracal_gateway_denials_revoked_total` | denials because the authority was revoked, suspended or stale |
//! | `caracal_gateway_denials_revocation_stale_total` | denials because the state was not fresh enough |
//! | `caracal_gateway_cuts_total{part,reason}` | running requests that were cut, each once, by the part that ended first: `handler`, `upload`, `response`, `event_stream`, `grpc` or `signal` |
//! | `caracal_gateway_observed_denials_total{reason}` | requests that went on only because of [`GatewayLayer::insecure_observe_only`] |
//! | `caracal_revocation_lag_seconds{stage="enforced"}` | a histogram: from a revocation's arrival here to the first request denied for it |
//!
//! A [`ResourceLayer`] counts under `caracal_resource_…`, an [`StsLayer`] under `caracal_sts_…`; a
//! `PolicyLayer` counts denied requests under `caracal_sts_opa_denials_total{reason}`.
//!
//! # Log
//!
//! Each denial logs one event at level info, with the target `caracal_revocation::denial`. Each cut
//! logs one with the target `caracal_revocation::cut`. No event holds the token or the id of an
//! anchor.
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
mod path;
#[cfg(feature = "opa")]
mod policy;
mod request_denial;
mod request_denial_kind;
mod resource;
mod sts;
mod unverified;
#[cfg(feature = "ws")]
mod websocket;

pub use crate::metrics::LAG_BUCKETS;
pub use answer::request_id;
pub use challenge::ResourceMetadataError;
pub use gateway::GatewayLayer;
pub use guarded::{
    BoxError, ConnectionId, CutError, CutOptions, Guarded, GuardedFuture, GuardedRequestBody,
    GuardedResponseBody, Observed,
};
pub use operations::Operations;
#[cfg(feature = "prometheus")]
pub use operations::{Exporter, ExporterError};
pub use path::decoded_path;
#[cfg(feature = "opa")]
pub use policy::{
    BuildInput, ClaimsInput, PolicyDenial, PolicyDenialKind, PolicyFuture, PolicyGuard,
    PolicyLayer, RequestFacts,
};
pub use request_denial::RequestDenial;
pub use request_denial_kind::RequestDenialKind;
pub use resource::ResourceLayer;
pub use sts::{Sts, StsBody, StsFuture, StsLayer};
#[cfg(feature = "ws")]
pub use websocket::GuardedWebSocket;
