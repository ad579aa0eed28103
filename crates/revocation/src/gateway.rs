//! Guards a gateway: denies requests on revoked authority, and cuts those that already run.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, http::StatusCode, routing::get};
//! use caracal_revocation::wire::{Key, KeyRing, MessageBuilder};
//! use caracal_revocation::{Claims, Follower, GatewayLayer, InProcess, Publisher};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (streams, key) = (InProcess::new(), Key::generate()?);
//! let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
//! revocations.ready().await;
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(GatewayLayer::new(revocations.clone()));
//!
//! // In a service, the layer that verifies tokens inserts the claims.
//! let now = i64::try_from(revocations.now().wall.as_secs())?;
//! let claims = Claims::new("session-1", now, now + 600);
//! let request = || Request::get("/").extension(claims.clone()).body(Body::empty());
//! assert_eq!(app.clone().oneshot(request()?).await?.status(), StatusCode::OK);
//!
//! let publisher = Publisher::in_process(&streams, Some(key));
//! publisher.publish(MessageBuilder::revoke("zone-1", "operator").session("session-1")).await?;
//! # while revocations.entries() == 0 { tokio::task::yield_now().await; }
//! assert_eq!(app.oneshot(request()?).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "ws")]
pub use caracal_revocation_layer::GuardedWebSocket;
pub use caracal_revocation_layer::{
    BoxError, ConnectionId, CutError, CutOptions, GatewayLayer, Guarded, GuardedFuture,
    GuardedRequestBody, GuardedResponseBody, Observed, RequestDenial, RequestDenialKind,
    ResourceMetadataError, decoded_path, request_id,
};
pub use caracal_revocation_state::{Admission, Cut, CutPoint, CutReport, RevokedSignal};
