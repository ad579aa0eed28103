//! Running requests: the anchors that each depends on, and how it is cut when its authority ends.
//!
//! A request is registered under its anchors, its zone's epoch and its end, when it first has to
//! wait. A request that never waits takes no lock. A change of the state looks up the affected
//! requests by the changed anchor and wakes only those. A request checks the state once more after
//! it was registered. So a change that happens at the same time finds the request, or the request
//! finds the change.

mod admission;
mod cut;
mod handle;
mod recheck;
pub(crate) mod registry;
mod request;
mod signal;
pub(crate) mod timekeeper;
pub(crate) mod waking;
mod watch;

pub use admission::{Admission, NotAdmitted};
pub use cut::{Cut, CutPoint, CutReport};
pub use handle::RequestCancellation;
pub use signal::RevokedSignal;
pub use watch::CutPolicy;

#[cfg(test)]
mod tests;
