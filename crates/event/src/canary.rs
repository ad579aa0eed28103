//! Canaries: messages that change nothing, signed like those that do.

use crate::Key;
use crate::canonical::sign_as;

/// The stream that canaries are on: none of the contract's own.
pub const CANARY_STREAM: &str = "caracal.revocation.canary";

/// Signs `fields` as a canary, as [`sign`](crate::sign) does for a stream of the contract: it
/// cannot pass for anything else.
///
/// ```
/// use caracal_revocation_event::{Key, KeyRing, sign_canary};
/// let key = Key::generate()?;
/// let mut fields = vec![("replica".to_owned(), "gw-1".to_owned())];
/// sign_canary(&key, &mut fields);
/// let bytes: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
/// assert!(KeyRing::new(key).verify_canary(&bytes).is_ok());
/// assert!(KeyRing::new(Key::generate()?).verify_canary(&bytes).is_err());
/// # Ok::<(), caracal_revocation_event::KeyError>(())
/// ```
pub fn sign_canary(key: &Key, fields: &mut Vec<(String, String)>) {
    sign_as(key, [CANARY_STREAM, ""], fields);
}
