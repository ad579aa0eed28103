//! Operations on Caracal's streams that only operators' programs need.
//!
//! An [`Inspector`] creates the streams and groups that a [`StreamLayout`] describes. It reports
//! the entries and consumer groups of a stream, the rights of its Redis user, the receipts of a
//! fleet's replicas, and the entries that can be trimmed. It also replays dead letters.
//!
//! `caracal-streams` is the command-line program for these operations. Settings and connections
//! come from `caracal-revocation-stream`.

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
