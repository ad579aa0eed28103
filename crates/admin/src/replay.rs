//! A dead letter's message, written to its stream once more.

use caracal_revocation_event::{KeyRing, KeySlot, Message, MessageRejection, Stream, StreamId};
use caracal_revocation_stream::internal::{LogError, MAX_LEN, reply};
use caracal_revocation_stream::{DeadLetter, InspectError};
use redis::Pipeline;

use crate::inspector::Inspector;

/// A dead letter's message was not written again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Its fields are not to be had: the letter's values are no JSON object.
    #[error("the letter does not hold the message's fields")]
    NoFields,
    /// It is not signed with an accepted key, or says nothing that can be used.
    #[error("{0}")]
    Rejected(MessageRejection),
    /// No key is configured, so nothing can be verified.
    #[error("no stream key: nothing can be verified")]
    NoKey,
    /// Somebody re-cut it: its clean parts were acted on, what it hid cannot be told.
    #[error("re-cut by someone who can write to Redis: its clean parts were acted on already")]
    Recut,
    /// Redis did not take it.
    #[error("{0}")]
    Inspect(#[from] InspectError),
}

/// Checks that a letter's message may be written again: signed with a key of the ring, for this
/// stream, and to be read in one way only.
///
/// # Errors
///
/// [`ReplayError`] says why not.
pub fn verify_letter(
    letter: &DeadLetter,
    keys: &KeyRing,
    stream: Stream,
) -> Result<(), ReplayError> {
    verified(letter, keys, stream).map(|_| ())
}

/// The fields of a message that was verified, `_sig` among them.
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
    /// Verifies a dead letter's message and writes it to its stream once more, as it was signed;
    /// its new id. Every effect is monotone or idempotent, so doing it twice is harmless.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] when it is not validly signed, and then nothing is written; or when Redis
    /// does not take it.
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
        let answers =
            self.links.tell(stream.name(), &commands).await.map_err(InspectError::from)?;
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
    fn only_what_was_validly_signed_for_its_stream_is_written_again() {
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
        assert!(matches!(open, Err(ReplayError::NoKey)), "nothing to verify with");
    }

    #[test]
    fn a_recut_message_is_not_written_again() {
        let key = Key::generate().unwrap();
        let notice = MessageBuilder::keys("z-1").with("note", "1\nzone_id=z-2");
        let fields = notice.into_fields(Some(&key), SystemTime::now());
        let verified = verify_letter(&letter(&fields), &KeyRing::new(key), Stream::KeysInvalidate);
        assert!(matches!(verified, Err(ReplayError::Recut)));
    }
}
