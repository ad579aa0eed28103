//! The keys whose signatures are accepted: the current one, and the one that producers used before.

use crate::canonical::Canonical;
use crate::decode;
use crate::event::Event;
use crate::key::{Key, KeySlot};
use crate::message::Message;
use crate::rejection::MessageRejection;
use crate::sign::{CANARY_STREAM, DEAD};

/// The keys whose signatures are accepted. It is the only way from a [`Message`] to an [`Event`].
///
/// ```
/// use caracal_revocation_event::{Key, KeyRing};
/// let ring = KeyRing::new(Key::from_hex(&"11".repeat(32))?)
///     .with_previous(Key::from_hex(&"22".repeat(32))?);
/// assert!(ring.verifies());
/// # Ok::<(), caracal_revocation_event::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyRing {
    keys: Vec<(KeySlot, Key)>,
}

impl KeyRing {
    /// Creates a ring with one key.
    #[must_use]
    pub fn new(current: Key) -> Self {
        Self { keys: vec![(KeySlot::Current, current)] }
    }

    /// Accepts `previous` too, while producers move to the current key.
    #[must_use]
    pub fn with_previous(mut self, previous: Key) -> Self {
        self.keys.retain(|(slot, _)| *slot != KeySlot::Previous);
        self.keys.push((KeySlot::Previous, previous));
        self
    }

    /// Creates a ring that accepts every message, signed or not. Any writer to the stream can then
    /// revoke, and lift suspensions. The contract allows it only in `CARACAL_MODE=dev` without a
    /// key (contract, "Signatures").
    #[must_use]
    pub const fn insecure_accept_unsigned() -> Self {
        Self { keys: Vec::new() }
    }

    /// Returns `true` if signatures are verified.
    #[must_use]
    pub fn verifies(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the slots whose messages are accepted: those of the keys, or [`KeySlot::Unsigned`].
    pub fn slots(&self) -> impl Iterator<Item = KeySlot> {
        let unsigned = self.keys.is_empty().then_some(KeySlot::Unsigned);
        self.keys.iter().map(|(slot, _)| *slot).chain(unsigned)
    }

    /// Returns the key that signs new messages. `None` if unsigned messages are accepted.
    #[must_use]
    pub fn signing_key(&self) -> Option<&Key> {
        self.keys.iter().find(|(slot, _)| *slot == KeySlot::Current).map(|(_, key)| key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// Verifies a message: it must be signed with a key of this ring and have exactly one reading
    /// (contract, "Signatures").
    ///
    /// # Errors
    ///
    /// A [`MessageRejection`]. Such a message changes nothing, and belongs in the dead-letter
    /// stream.
    pub fn verify<'a>(&self, message: &Message<'a>) -> Result<Event<'a>, MessageRejection> {
        let canonical = Canonical::of(message)?;
        let slot = self.slot(&canonical)?;
        decode::read(message.stream(), &canonical, slot)
    }

    /// Verifies these fields as a dead letter of the message's stream; see
    /// [`sign_dead_letter`](crate::sign_dead_letter). Returns the accepted key that signed them.
    ///
    /// # Errors
    ///
    /// A [`MessageRejection`] if no accepted key signed them, or they can be read in two ways.
    pub fn verify_dead_letter(&self, letter: &Message<'_>) -> Result<KeySlot, MessageRejection> {
        self.slot(&Canonical::named([letter.stream().name(), DEAD], letter.fields())?)
    }

    /// Verifies these fields as a canary; see [`sign_canary`](crate::sign_canary). Returns the
    /// accepted key that signed them.
    ///
    /// # Errors
    ///
    /// A [`MessageRejection`] if no accepted key signed them, or they can be read in two ways.
    pub fn verify_canary(&self, fields: &[(&[u8], &[u8])]) -> Result<KeySlot, MessageRejection> {
        self.slot(&Canonical::named([CANARY_STREAM, ""], fields)?)
    }

    fn slot(&self, canonical: &Canonical<'_>) -> Result<KeySlot, MessageRejection> {
        // rule: only-signed-counts
        if self.keys.is_empty() {
            return Ok(KeySlot::Unsigned);
        }
        let text =
            canonical.signature.ok_or(MessageRejection::signature("the message has no _sig"))?;
        let mut signature = [0_u8; 32];
        hex::decode_to_slice(text, &mut signature)
            .map_err(|_| MessageRejection::signature("_sig is not 64 hexadecimal digits"))?;
        self.keys
            .iter()
            .find(|(_, key)| key.signed(canonical, &signature))
            .map(|(slot, _)| *slot)
            .ok_or(MessageRejection::signature("_sig is not that of an accepted key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, sign};

    fn key(digits: &str) -> Key {
        Key::from_hex(&digits.repeat(32)).unwrap()
    }

    fn verify(ring: &KeyRing, fields: &[(String, String)]) -> Result<KeySlot, MessageRejection> {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        ring.verify(&Message::new(Stream::SessionsRevoke, &fields)).map(|event| event.key())
    }

    #[test]
    fn every_digit_of_the_signature_counts() {
        let mut fields = vec![("session_id".to_owned(), "ar-1".to_owned())];
        sign(&key("1a"), Stream::SessionsRevoke, &mut fields);
        let signature = fields.last().unwrap().1.clone();
        assert_eq!(signature.len(), 64);
        for (ring, slot) in [
            (KeyRing::new(key("1a")), KeySlot::Current),
            (KeyRing::new(key("2b")).with_previous(key("1a")), KeySlot::Previous),
        ] {
            assert_eq!(verify(&ring, &fields), Ok(slot));
            for at in (0..64).rev() {
                for bit in [1, 2, 4, 8] {
                    let digit = u8::from_str_radix(&signature[at..=at], 16).unwrap() ^ bit;
                    let changed = format!("{}{digit:x}{}", &signature[..at], &signature[at + 1..]);
                    let mut fields = fields.clone();
                    fields.last_mut().unwrap().1 = changed;
                    assert!(verify(&ring, &fields).is_err(), "digit {at}, bit {bit}");
                }
            }
        }
    }
}
