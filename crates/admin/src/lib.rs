//! What only operators' programs do with Caracal's streams.
//!
//! An [`Inspector`] provisions the streams that a [`StreamLayout`] describes, tells what stands in
//! them and who reads them, which rights its user has, what the replicas of a fleet say of
//! themselves and what could be trimmed, and writes a dead letter's message once more.
//! `caracal-streams` is the program over it. What it is built on is in `caracal-revocation-stream`.

mod dead_letters;
mod entries;
mod groups;
mod inspector;
mod layout;
mod provision;
mod receipts;
mod replay;
mod reply;
mod retention;
mod rights;
mod server;

pub use dead_letters::{StoredLetter, UnreadableLetter};
pub use entries::RawEntry;
pub use groups::{ConsumerReport, GroupReport, OldestPending};
pub use inspector::{Inspector, KeyReport, StreamReport};
pub use layout::StreamLayout;
pub use provision::{Provision, Provisioned};
pub use replay::{ReplayError, verify_letter};
pub use retention::RetentionPlan;
pub use rights::{Purpose, Right};
pub use server::ServerReport;
