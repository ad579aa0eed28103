//! Tower layers that refuse revoked mandates, for axum, hyper and whatever else speaks
//! [`tower_service::Service`] with [`http`] types.
//!
//! [`GatewayLayer`] asks a [`Revocations`] about each request's [`Claims`]. Only an admitted
//! request reaches the service behind it; every other one is answered in the gateway's words,
//! and the [`Rejection`] goes into the answer's extensions:
//!
//! ```
//! use bytes::Bytes;
//! use caracal_revocation_event::{KeyRing, Message, Stream};
//! use caracal_revocation_layer::{GatewayLayer, Rejection, RejectionKind};
//! use caracal_revocation_state::{Admitted, Claims, Options, Revocations};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # type Never = std::convert::Infallible;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revocations = Revocations::new(Options::default());
//! let gateway = GatewayLayer::new(revocations.clone()).layer(service_fn(
//!     async |request: Request<()>| {
//!         assert!(request.extensions().get::<Admitted>().is_some());
//!         Ok::<_, Never>(Response::new(Full::<Bytes>::from("hello")))
//!     },
//! ));
//!
//! // The layer that verifies tokens stands outside, and leaves what they say.
//! let mut request = Request::new(());
//! request.extensions_mut().insert(Claims::new("ar-1"));
//!
//! // Nobody has proven the log complete yet: an outage, not a revocation.
//! let response = gateway.clone().oneshot(request.clone()).await?;
//! assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
//!
//! revocations.confirm(revocations.now());
//! let response = gateway.clone().oneshot(request.clone()).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! let fields: [(&[u8], &[u8]); 1] = [(b"sid", b"ar-1")];
//! let message = Message::new(Stream::SessionsRevoke, &fields);
//! let event = KeyRing::insecure_accept_unsigned().verify(&message)?;
//! revocations.apply(&event, revocations.now());
//!
//! let response = gateway.oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! let rejection = response.extensions().get::<Rejection>().map(Rejection::kind);
//! assert_eq!(rejection, Some(RejectionKind::Revoked));
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: [`GatewayLayer`] and [`ResourceLayer`] are what is asked for, [`Guarded`]
//! the service that they make, [`GuardedFuture`] and [`GuardedBody`] what that returns;
//! [`StsLayer`] stands in front of a token endpoint; [`Rejection`] says why a request was
//! refused, and [`Observed`] what would have been done with it. [`Operations`] is the service of
//! probes and scrapes.
//!
//! # Answers
//!
//! `{"error", "error_description", "requestId"}` as JSON, with `error_hint` from a resource
//! server: 401 `invalid_token`, or 503 `sts_unavailable` while the state is unknown; a resource
//! server is more exact ([`ResourceLayer`] has the table). `X-Request-Id` is the client's own, or a new
//! UUID (version 7) where that is not 1 to 128 bytes of visible ASCII.
//!
//! # Metrics
//!
//! Counted through the [`metrics`](::metrics) facade. The handles are registered when a layer is made, so
//! install the recorder first; what is counted before that is lost.
//!
//! | counter | counts |
//! |---|---|
//! | `caracal_gateway_denials_total{reason}` | every denied request |
//! | `caracal_gateway_denials_revoked_total` | those of revoked, suspended or stale authority |
//! | `caracal_gateway_denials_revocation_stale_total` | those for want of a fresh enough state |
//! | `caracal_gateway_observed_denials_total{reason}` | requests that went on only because of [`GatewayLayer::insecure_observe_only`] |
//!
//! | `caracal_revocation_lag_seconds{stage="enforced"}` | a histogram: from a revocation's arrival here to the first request refused for it |
//!
//! A [`ResourceLayer`] counts under `caracal_resource_…`, an [`StsLayer`] under `caracal_sts_…`.
//!
//! # Log
//!
//! One event a denial, at level info, target `caracal_revocation::denial`. It never holds the
//! token, nor the id of an anchor.
//!
//! [`Claims`]: caracal_revocation_state::Claims
//! [`Revocations`]: caracal_revocation_state::Revocations

mod answer;
mod bearer;
mod gateway;
mod guarded;
mod log;
mod metrics;
mod operations;
mod rejection;
mod request_id;
mod resource;
mod sts;
mod unverified;

pub use gateway::GatewayLayer;
pub use guarded::{Guarded, GuardedBody, GuardedFuture, Observed};
#[cfg(feature = "prometheus")]
pub use operations::{Exporter, ExporterError};
pub use operations::{LAG_BUCKETS, Operations};
pub use rejection::{Rejection, RejectionKind};
pub use resource::ResourceLayer;
pub use sts::{Sts, StsBody, StsFuture, StsLayer};
