//! Items that only the project's own programs use.
//!
//! This module is not part of the public API. It may change in any release, patch versions
//! included, without a note in the changelog.

pub use crate::guarded::end_turn;
