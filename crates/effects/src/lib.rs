//! Effects that must happen once in a fleet: a consumer group, a handler, and nothing lost.
//!
//! An [`EffectRunner`] gives each message of a stream as a [`Delivery`] to a handler, in one of the
//! processes that share a group. What it is built on is in `caracal-revocation-stream`.

mod answers;
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
