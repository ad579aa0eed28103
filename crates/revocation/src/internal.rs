//! Items for the project's own programs, tests and benches. They can change in any release.

pub use caracal_revocation_event::{CANARY_STREAM, SEAL_LEN, sign, sign_canary, sign_dead_letter};
pub use caracal_revocation_state::{RestoreError, StateSnapshot};
