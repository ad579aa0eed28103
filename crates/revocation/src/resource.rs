//! Guards a resource server: verifies mandates, and checks the requirements of each route.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, http::StatusCode, routing::get};
//! use caracal_revocation::{Follower, InProcess, ResourceLayer, Verifier};
//! # use caracal_revocation::wire::{Key, KeyRing};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate()?))?;
//! let revocations = follower.spawn(); // Follower::from_env() in a service
//! let verifier = Verifier::builder("https://sts.example", "zone-1", "https://orders.example")
//!     .build(&revocations)?;
//! let resource = ResourceLayer::new(verifier);
//! let app: Router = Router::new()
//!     .route("/orders", get(async || "orders"))
//!     .layer(resource.require_scope("orders:read"));
//!
//! let without_token = Request::get("/orders").body(Body::empty())?;
//! assert_eq!(app.oneshot(without_token).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

pub use caracal_revocation_layer::ResourceLayer;
pub use caracal_revocation_mandate::{Requirements, UnmetRequirement};
