//! The part that both examples share: two zones, a policy that is edited on disk, and the message that
//! announces the edit.

mod folder;
mod tour;

pub use folder::Folder;
pub use tour::{ZONES, run};
