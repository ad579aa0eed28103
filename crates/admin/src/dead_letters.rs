//! Dead letters where they are stored, whichever service wrote them.

use std::collections::BTreeMap;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::dead_letters::dead_stream;
use caracal_revocation_stream::{DeadLetter, InspectError, ParseDeadLetterError};

use crate::entries::RawEntry;
use crate::inspector::{Inspector, PAGE};

/// A dead letter where it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredLetter {
    /// The stream of its message.
    pub stream: Stream,
    /// Its id in the stream of dead letters.
    pub id: StreamId,
    /// The letter, if the entry is one.
    pub letter: Result<DeadLetter, UnreadableLetter>,
}

/// The reason that an entry of a dead-letter stream is no letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableLetter {
    /// Its fields are not those of a dead letter.
    #[error("{0}")]
    Shape(#[from] ParseDeadLetterError),
    /// It has so many bytes, which is more than is read of one entry.
    #[error("too large to be read: {0} bytes")]
    TooLarge(u64),
}

impl StoredLetter {
    fn of(stream: Stream, entry: &RawEntry) -> Self {
        let letter = match entry.too_large {
            Some(bytes) => Err(UnreadableLetter::TooLarge(bytes)),
            None => DeadLetter::parse(&entry.fields()).map_err(Into::into),
        };
        Self { stream, id: entry.id, letter }
    }

    /// Returns the cause: the part of the error before its first colon.
    #[must_use]
    pub fn cause(&self) -> &str {
        let Ok(letter) = &self.letter else { return "unreadable" };
        let error = letter.error();
        error.split_once(':').map_or(error, |(cause, _)| cause).trim()
    }
}

impl Inspector {
    /// Returns the next dead letters of a stream after `after`, the oldest first. None only where
    /// nothing follows.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
    pub async fn dead_letters(
        &mut self,
        stream: Stream,
        after: StreamId,
    ) -> Result<Vec<StoredLetter>, InspectError> {
        let entries = self.entries(&dead_stream(stream), after, PAGE).await?;
        Ok(entries.iter().map(|entry| StoredLetter::of(stream, entry)).collect())
    }

    /// Returns one dead letter of a stream, if it is there.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
    pub async fn dead_letter(
        &mut self,
        stream: Stream,
        id: StreamId,
    ) -> Result<Option<StoredLetter>, InspectError> {
        let entry = self.entry(&dead_stream(stream), id).await?;
        Ok(entry.map(|entry| StoredLetter::of(stream, &entry)))
    }

    /// Counts the dead letters of a stream after `after` by cause; at most about `most` of them.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
    pub async fn dead_letter_causes(
        &mut self,
        stream: Stream,
        after: StreamId,
        most: usize,
    ) -> Result<BTreeMap<String, u64>, InspectError> {
        let (mut causes, mut cursor, mut count) = (BTreeMap::new(), after, 0);
        while count < most {
            let letters = self.dead_letters(stream, cursor).await?;
            let Some(last) = letters.last() else { break };
            (cursor, count) = (last.id, count + letters.len());
            for letter in &letters {
                let cause = match &letter.letter {
                    Ok(_) => letter.cause().to_owned(),
                    Err(error) => error.to_string(),
                };
                *causes.entry(cause).or_default() += 1;
            }
        }
        Ok(causes)
    }

    /// Deletes dead letters; returns how many were there.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis refuses.
    pub async fn drop_dead_letters(
        &mut self,
        stream: Stream,
        ids: &[StreamId],
    ) -> Result<u64, InspectError> {
        self.delete(&dead_stream(stream), ids).await
    }
}
