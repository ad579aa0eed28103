//! `/metrics`, `/health`, `/ready` and `/status` for a service that has none of its own.
//!
//! ```
//! use caracal_revocation_layer::Operations;
//! use caracal_revocation_state::{Options, RevocationsWriter};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let writer = RevocationsWriter::new(Options::default());
//! let operations = Operations::new(writer.reader());
//!
//! let ready = operations.clone().oneshot(Request::get("/ready").body(())?).await?;
//! assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE); // history is not read yet
//!
//! writer.confirm(writer.now());
//! let ready = operations.oneshot(Request::get("/ready").body(())?).await?;
//! assert_eq!(ready.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod access;
#[cfg(feature = "prometheus")]
mod exporter;
#[cfg(feature = "status-page")]
mod page;
mod readiness;
mod reload;
mod service;
mod status;

#[cfg(feature = "prometheus")]
pub use exporter::{Exporter, ExporterError};
pub use service::Operations;
