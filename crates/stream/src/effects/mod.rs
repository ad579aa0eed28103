//! Effects that must happen once in a fleet: a consumer group, a handler, and nothing lost.

mod delivery;
mod in_process;
mod queue;
mod redis_queue;
mod report;
mod runner;
mod work;

pub use delivery::{Delivery, EffectFailure};
pub use runner::{EffectError, EffectRunner};
