//! A service behind a guard: the request is judged, and reaches the service only if it may.

mod body;
mod future;
mod guard;
mod judge;
mod observed;
mod service;

pub use body::GuardedBody;
pub use future::GuardedFuture;
pub(crate) use guard::{Denial, Guard};
pub(crate) use judge::decide;
pub use observed::Observed;
pub use service::Guarded;
