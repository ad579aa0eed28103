//! Receipts: how far each replica has read, for a check that all replicas have applied a message.
//!
//! A follower [with receipts](crate::Follower::with_receipts) writes one under a key of its own,
//! which expires: a replica that is gone is not waited for. `caracal-revocation-admin`
//! reads those of a fleet.
//!
//! Receipts are not signed: any writer to Redis can write one. They answer an operator's question,
//! and no request depends on them.

mod progress;
mod receipt;
mod writer;

pub(crate) use progress::Progress;
pub use receipt::{PREFIX, Receipt};
pub(crate) use writer::Writer;
