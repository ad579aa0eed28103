//! What both examples do: two zones, a policy that is edited on disk, and the message that says so.

mod folder;
mod tour;

pub use folder::Folder;
pub use tour::{ZONES, run};
