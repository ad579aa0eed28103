//! A sealed snapshot on disk: the state, and how far the streams were read.
//!
//! After a restart while Redis is away, revoked tokens are denied at once. The snapshot is as fresh as
//! its last proof: once that is older than the bound, all other requests get 503 until the streams were
//! read again from their first entry. The counters in the snapshot then show whether anything is missing
//! after its end. The snapshot is optional, and off by default.

mod format;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod keeper;
mod position;
mod saver;
#[cfg(test)]
mod tests;

pub(crate) use keeper::{Keeper, SETTING};
pub(crate) use position::{Checkpoint, Position, Recalled};
pub(crate) use saver::Saver;
