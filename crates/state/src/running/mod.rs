//! Running requests: which anchors each depends on, and how it learns that its authority has ended.
//!
//! A request is registered under each of its anchors, its zone's epoch and its end when it first
//! has to wait; one that never waits costs no lock. Whoever changes the state looks up, under the
//! changed anchor alone, who is to be cut, and wakes those. A request that registers looks at the
//! state once more afterwards: a change is seen by the one or by the other.

mod admission;
mod cut;
mod handle;
mod recheck;
pub(crate) mod registry;
mod request;
mod signal;
pub(crate) mod timekeeper;
mod watch;

pub use admission::{Admission, NotAdmitted};
pub use cut::{Cut, CutPoint, CutReport};
pub use handle::RequestCancellation;
pub use signal::RevokedSignal;
pub use watch::CutPolicy;

#[cfg(test)]
mod tests;
