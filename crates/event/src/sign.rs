//! Signs messages, dead letters, canaries, and the messages of other streams.

use crate::canonical::{Canonical, SIGNATURE, Sorted};
use crate::key::Key;
use crate::rejection::MessageRejection;
use crate::stream::Stream;

/// The suffix of a dead-letter stream's name.
pub(crate) const DEAD: &str = ".dead";

/// The stream of canaries: signed messages that change nothing. The contract does not define it.
pub const CANARY_STREAM: &str = "caracal.revocation.canary";

/// Signs `fields` for `stream` by appending `_sig`, in place of an existing one.
///
/// The signature is lower-case hex of HMAC-SHA256 over the canonical form, as every producer of
/// Caracal writes it. Leave null values out of `fields`; empty ones are signed.
pub fn sign(key: &Key, stream: Stream, fields: &mut Vec<(String, String)>) {
    sign_as(key, [stream.name(), ""], fields);
}

/// Signs `fields` for the dead-letter stream of `stream`, as [`sign`] does for the stream itself.
pub fn sign_dead_letter(key: &Key, stream: Stream, fields: &mut Vec<(String, String)>) {
    sign_as(key, [stream.name(), DEAD], fields);
}

/// Signs `fields` as a canary, as [`sign`] does for a stream of the contract. The signature covers
/// the stream name, so a canary cannot pass for another message.
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

/// Signs `fields` for a stream of any name, such as one of Caracal's audit streams, as [`sign`]
/// does for a stream that changes state. [`canonical_form`](crate::canonical_form) returns the
/// signed bytes.
///
/// ```
/// use caracal_revocation_event::{Key, MessageRejectionKind, sign_for};
/// let key = Key::from_hex(&"5a".repeat(32))?;
/// let mut fields = vec![("action".to_owned(), "transfer".to_owned())];
/// sign_for(&key, "audit:events", &mut fields)?;
/// assert_eq!(fields[1].0, "_sig");
///
/// let rejection = sign_for(&key, "audit\nevents", &mut fields).unwrap_err();
/// assert_eq!(rejection.kind(), MessageRejectionKind::Ambiguous);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A [`MessageRejection`] for what [`canonical_form`](crate::canonical_form) rejects. `fields` are
/// then unchanged.
pub fn sign_for(
    key: &Key,
    stream: &str,
    fields: &mut Vec<(String, String)>,
) -> Result<(), MessageRejection> {
    let bytes: Vec<_> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    Canonical::of_any_stream(stream, &bytes)?;
    sign_as(key, [stream, ""], fields);
    Ok(())
}

fn sign_as(key: &Key, name: [&str; 2], fields: &mut Vec<(String, String)>) {
    fields.retain(|(name, _)| name != SIGNATURE);
    let mut ordered: Sorted<'_> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    ordered.sort_unstable_by(|one, other| one.0.cmp(other.0));
    let canonical = Canonical { name, fields: ordered, signature: None };
    let signature = hex::encode(key.mac(&canonical));
    drop(canonical);
    fields.push((SIGNATURE.to_owned(), signature));
}
