//! Guards the token endpoint of an STS: denies token requests that name revoked authority.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, http::StatusCode, routing::post};
//! use caracal_revocation::wire::{Key, KeyRing, MessageBuilder};
//! use caracal_revocation::{Follower, InProcess, Publisher, StsLayer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (streams, key) = (InProcess::new(), Key::generate()?);
//! let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
//! let app: Router = Router::new()
//!     .route("/oauth/2/token", post(async || "a token"))
//!     .layer(StsLayer::new(revocations.clone()));
//!
//! let publisher = Publisher::in_process(&streams, Some(key));
//! publisher.publish(MessageBuilder::revoke("zone-1", "operator").session("session-1")).await?;
//! # while revocations.entries() == 0 { tokio::task::yield_now().await; }
//! let request = Request::post("/oauth/2/token")
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body(Body::from("session_id=session-1"))?;
//! assert_eq!(app.oneshot(request).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

pub use caracal_revocation_layer::{Sts, StsBody, StsFuture, StsLayer};
