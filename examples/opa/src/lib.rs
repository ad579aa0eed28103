//! What both examples do: two zones, a policy that is edited on disk, and the message that says so.

#[allow(dead_code, reason = "the zones of this example have other names")]
#[path = "../../mandates/mod.rs"]
mod mandates;
#[path = "../../streams/mod.rs"]
mod streams;

mod folder;
mod tour;

pub use folder::Folder;
pub use tour::{ZONES, run};
