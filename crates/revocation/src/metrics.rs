//! Serves health, readiness and metrics.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, http::StatusCode};
//! use caracal_revocation::{Follower, InProcess, Operations};
//! # use caracal_revocation::wire::{Key, KeyRing};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate()?))?;
//! let revocations = follower.spawn(); // Follower::from_env() in a service
//! revocations.ready().await;
//! let app: Router = Router::new().nest_service("/internal", Operations::new(revocations));
//!
//! let request = Request::get("/internal/ready").body(Body::empty())?;
//! assert_eq!(app.oneshot(request).await?.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "prometheus")]
pub use caracal_revocation_layer::{Exporter, ExporterError};
pub use caracal_revocation_layer::{LAG_BUCKETS, Operations};
