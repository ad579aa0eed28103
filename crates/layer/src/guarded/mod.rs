//! A service behind a guard: the request is judged, and reaches the service only if it may.

mod body;
mod cut_error;
mod cutting;
mod ending;
mod event_stream;
mod future;
mod guard;
mod held;
mod judge;
mod observed;
mod run;
mod service;
mod upload;

pub use body::GuardedBody;
pub use cut_error::CutError;
pub use cutting::Cutting;
pub use future::GuardedFuture;
pub(crate) use guard::Guard;
pub(crate) use judge::admit_unverified;
pub use observed::Observed;
pub use service::Guarded;
pub use upload::GuardedUpload;

#[cfg(test)]
mod tests;
