//! Fields and ids of the messages that the harness publishes.

use std::time::{SystemTime, UNIX_EPOCH};

/// The message field with the number of its revocation. Readers accept unknown fields.
pub const MARK: &str = "chaos_revocation";

/// Returns an id by this machine's clock, reduced by this many milliseconds.
pub fn id_behind(by: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{}-*", now.saturating_sub(u128::from(by)))
}

/// Parses an id into its milliseconds and its sequence number.
pub fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (ms, sequence) = id.split_once('-')?;
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}
