//! A sealed snapshot on disk: the state, and the position in each stream.
//!
//! With a snapshot, revoked tokens are denied at once after a restart, even while Redis is down.
//! The snapshot is as fresh as its last proof. Once that is older than the bound, all other
//! requests get 503 until the streams were read again from their first entry. The counters in the
//! snapshot then show whether entries after its end are missing. The snapshot is optional, and off
//! by default.

mod format;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod keeper;
mod position;
mod saver;
#[cfg(test)]
mod tests;

pub(crate) use keeper::{Keeper, SETTING};
pub(crate) use position::{Checkpoint, Position, RestoredSnapshot};
pub(crate) use saver::Saver;
