//! Receipts: the cursors of each replica, to check that all replicas have applied a message.
//!
//! A follower [with receipts](crate::Follower::with_receipts) writes a receipt under its own key.
//! The key expires, so a check does not wait for a replica that is gone. `caracal-revocation-admin`
//! reads the receipts of a fleet.
//!
//! Receipts are not signed, so any writer to Redis can forge one. They answer an operator's
//! question, and no request depends on them.

mod progress;
mod receipt;
mod writer;

pub(crate) use progress::Progress;
pub use receipt::{PREFIX, Receipt};
pub(crate) use writer::Writer;
