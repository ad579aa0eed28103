//! Provisions and inspects the streams on a Redis, as the program `caracal-streams` does.
//!
//! ```
//! use caracal_revocation::admin::StreamLayout;
//!
//! let names: Vec<_> = StreamLayout::ALL.iter().map(|stream| stream.name).collect();
//! assert!(names.contains(&"caracal.sessions.revoke"));
//! ```

pub use caracal_revocation_admin::{
    Inspector, KeyReport, Provision, Provisioned, ReplayError, StoredLetter, StreamLayout,
    StreamReport, UnreadableLetter, verify_letter,
};
pub use caracal_revocation_stream::{InspectError, InspectErrorKind, acl};
