//! A service behind a guard: the request is judged, and reaches the service only if it may.

mod body;
mod cutting;
mod decision;
mod ending;
mod errors;
mod event_stream;
mod future;
mod guard;
mod held;
mod judge;
mod request_context;
mod service;
mod upload;

pub use body::GuardedBody;
pub use cutting::Cutting;
pub use decision::Observed;
pub use errors::{BoxError, CutError};
pub use future::GuardedFuture;
pub(crate) use guard::Guard;
pub(crate) use judge::admit_unverified;
pub use service::Guarded;
pub use upload::GuardedUpload;

#[cfg(test)]
mod tests;
