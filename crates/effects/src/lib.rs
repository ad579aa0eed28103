//! Effects that must happen once in a fleet: a handler for each message of a consumer group.
//!
//! An [`EffectRunner`] passes each message of a stream to a handler, as a [`Delivery`]. The
//! processes of a fleet share a group, and each message goes to one of them.
//! `caracal-revocation-stream` has the connections and settings that the runner uses.

mod answers;
mod cursors;
mod delivery;
mod error;
mod in_process;
mod queue;
mod redis_queue;
mod report;
mod runner;
mod work;

pub use delivery::{Delivery, EffectFailure};
pub use error::EffectError;
pub use runner::EffectRunner;
