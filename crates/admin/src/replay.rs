//! Replays a dead letter: writes its message to the message's stream again.

use caracal_revocation_event::{KeyRing, KeySlot, Message, MessageRejection, Stream, StreamId};
use caracal_revocation_stream::internal::{LogError, MAX_LEN, reply};
use caracal_revocation_stream::{DeadLetter, InspectError};
use redis::Pipeline;

use crate::inspector::Inspector;

/// The reason that a dead letter was not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The fields of the message are unknown: the letter's `values` are not a JSON object.
    #[error("the dead letter does not contain the message's fields")]
    NoFields,
    /// The message is not signed with an accepted key, or is malformed or ambiguous.
    #[error("{0}")]
    Rejected(MessageRejection),
    /// No key is configured, so the message cannot be verified.
    #[error("no stream key: the message cannot be verified")]
    NoKey,
    /// The message was re-cut: a field hides text that reads like another field. Services applied
    /// its clean parts when they read it, and the hidden meaning is unknown.
    #[error("re-cut by a user with write access to Redis: its clean parts were already applied")]
    Recut,
    /// Redis could not be reached or returned an error.
    #[error("{0}")]
    Inspect(#[from] InspectError),
}

/// Verifies that a dead letter may be replayed. Its message must be signed with a key of the ring,
/// for this stream, and must not be re-cut.
///
/// # Errors
///
/// [`ReplayError`] if the dead letter must not be replayed.
pub fn verify_letter(
    letter: &DeadLetter,
    keys: &KeyRing,
    stream: Stream,
) -> Result<(), ReplayError> {
    verified(letter, keys, stream).map(|_| ())
}

/// Verifies the message and returns its fields, including `_sig`.
fn verified(
    letter: &DeadLetter,
    keys: &KeyRing,
    stream: Stream,
) -> Result<Vec<(String, String)>, ReplayError> {
    let fields = letter.fields().ok_or(ReplayError::NoFields)?;
    let wire: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let event = keys.verify(&Message::new(stream, &wire)).map_err(ReplayError::Rejected)?;
    match event.key() {
        KeySlot::Unsigned => Err(ReplayError::NoKey),
        KeySlot::Current | KeySlot::Previous if event.is_recut() => Err(ReplayError::Recut),
        KeySlot::Current | KeySlot::Previous => Ok(fields),
    }
}

impl Inspector {
    /// Verifies the message of a dead letter and writes its signed fields to its stream. Returns
    /// the new id.
    ///
    /// The effect of every message is monotonic or idempotent, so a second replay is harmless.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if the message does not verify; nothing is written then. The same error type
    /// reports that Redis cannot be reached or returned an error.
    pub async fn replay(
        &mut self,
        letter: &DeadLetter,
        keys: &KeyRing,
        stream: Stream,
    ) -> Result<StreamId, ReplayError> {
        let fields = verified(letter, keys, stream)?;
        let mut commands = Pipeline::new();
        let add = commands.cmd("XADD").arg(stream.name());
        add.arg("MAXLEN").arg("~").arg(MAX_LEN).arg("*");
        for (name, value) in &fields {
            add.arg(name).arg(value);
        }
        let answers = self.links.run(stream.name(), &commands).await.map_err(InspectError::from)?;
        let id = answers.first().ok_or(LogError::Reply("an id was expected"));
        let id = id.and_then(reply::id).map_err(InspectError::from)?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caracal_revocation_event::{Key, MessageBuilder};
    use std::time::SystemTime;

    fn letter(fields: &[(String, String)]) -> DeadLetter {
        let wire: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        DeadLetter::of(StreamId::new(7, 0), "signature: any", &wire)
    }

    #[test]
    fn replays_only_messages_validly_signed_for_their_stream() {
        let key = Key::generate().unwrap();
        let ring = KeyRing::new(key.clone());
        let signed = MessageBuilder::keys("z-1").into_fields(Some(&key), SystemTime::now());
        let good = letter(&signed);
        assert!(verify_letter(&good, &ring, Stream::KeysInvalidate).is_ok());
        let elsewhere = verify_letter(&good, &ring, Stream::PolicyInvalidate);
        assert!(matches!(elsewhere, Err(ReplayError::Rejected(_))), "signed for another stream");
        let other = KeyRing::new(Key::generate().unwrap());
        let other = verify_letter(&good, &other, Stream::KeysInvalidate);
        assert!(matches!(other, Err(ReplayError::Rejected(_))), "signed with another key");
        let open =
            verify_letter(&good, &KeyRing::insecure_accept_unsigned(), Stream::KeysInvalidate);
        assert!(matches!(open, Err(ReplayError::NoKey)), "no key to verify with");
    }

    #[test]
    fn does_not_replay_recut_message() {
        let key = Key::generate().unwrap();
        let message = MessageBuilder::keys("z-1").with("note", "1\nzone_id=z-2");
        let fields = message.into_fields(Some(&key), SystemTime::now());
        let verified = verify_letter(&letter(&fields), &KeyRing::new(key), Stream::KeysInvalidate);
        assert!(matches!(verified, Err(ReplayError::Recut)));
    }
}
