//! Dead letters in the streams `<stream>.dead`, of every service that writes them.

use std::collections::BTreeMap;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::dead_letters::dead_stream;
use caracal_revocation_stream::{DeadLetter, InspectError, ParseDeadLetterError};

use crate::entries::RawEntry;
use crate::inspector::{Inspector, PAGE};

/// An entry of a dead-letter stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredLetter {
    /// The stream that the message was read from.
    pub stream: Stream,
    /// The entry's id in the dead-letter stream.
    pub id: StreamId,
    /// The dead letter, or the reason that the entry cannot be read as one.
    pub letter: Result<DeadLetter, UnreadableLetter>,
}

/// The reason that an entry of a dead-letter stream cannot be read as a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableLetter {
    /// The fields of the entry are not those of a dead letter.
    #[error("{0}")]
    Shape(#[from] ParseDeadLetterError),
    /// The entry exceeds the limit for one entry. Holds its size in bytes.
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

    /// Returns the cause: the part of the error before its first colon, or `unreadable` if the
    /// entry cannot be read.
    #[must_use]
    pub fn cause(&self) -> &str {
        let Ok(letter) = &self.letter else { return "unreadable" };
        let error = letter.error();
        error.split_once(':').map_or(error, |(cause, _)| cause).trim()
    }
}

impl Inspector {
    /// Returns the next page of a stream's dead letters after `after`, oldest first. The page is
    /// empty only at the end of the dead-letter stream.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error, or the key is no stream.
    pub async fn dead_letters(
        &mut self,
        stream: Stream,
        after: StreamId,
    ) -> Result<Vec<StoredLetter>, InspectError> {
        let entries = self.entries(&dead_stream(stream), after, PAGE).await?;
        Ok(entries.iter().map(|entry| StoredLetter::of(stream, entry)).collect())
    }

    /// Returns the dead letter with this id, or `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error, or the key is no stream.
    pub async fn dead_letter(
        &mut self,
        stream: Stream,
        id: StreamId,
    ) -> Result<Option<StoredLetter>, InspectError> {
        let entry = self.entry(&dead_stream(stream), id).await?;
        Ok(entry.map(|entry| StoredLetter::of(stream, &entry)))
    }

    /// Counts the dead letters of a stream after `after` by cause. Stops after the page that
    /// reaches `most`.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error, or the key is no stream.
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

    /// Deletes dead letters. Returns the number deleted.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn drop_dead_letters(
        &mut self,
        stream: Stream,
        ids: &[StreamId],
    ) -> Result<u64, InspectError> {
        self.delete(&dead_stream(stream), ids).await
    }
}
