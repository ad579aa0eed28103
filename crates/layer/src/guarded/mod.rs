//! A service behind a guard, which admits or denies each request.

mod authorizer;
mod body;
mod connection;
mod cutting;
mod decision;
mod errors;
mod event_stream;
mod future;
mod guard;
mod held;
mod request_context;
mod service;
mod single_use;
mod termination;
mod turn;
mod upload;

pub(crate) use authorizer::admit_unverified;
pub use body::GuardedResponseBody;
pub use connection::ConnectionId;
pub use cutting::CutOptions;
pub use decision::Observed;
pub use errors::{BoxError, CutError};
pub use future::GuardedFuture;
pub(crate) use guard::Guard;
pub use service::Guarded;
pub use upload::GuardedRequestBody;

#[cfg(test)]
mod tests;
