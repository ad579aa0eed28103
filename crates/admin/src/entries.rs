//! Unverified entries of any stream, as bytes.

use std::time::{Duration, Instant};

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::InspectError;
use caracal_revocation_stream::internal::{Fields, reply as redis_reply};
use redis::Pipeline;

use crate::inspector::{Inspector, PAGE, first};

/// The highest possible id.
pub(crate) const END: StreamId = StreamId::new(u64::MAX, u64::MAX);
/// The time after which a count stops: counting reads whole entries, and large ones take long.
const COUNT_WITHIN: Duration = Duration::from_secs(5);

/// An unverified entry, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawEntry {
    /// The id of the entry.
    pub id: StreamId,
    /// The names and values of its fields, in the stored order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The size of its fields in bytes if they exceed the limit for one entry. `fields` is empty
    /// then.
    pub too_large: Option<u64>,
}

/// The result of counting the entries in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) entries: u64,
    pub(crate) first: Option<StreamId>,
    /// `true` if the count stopped before the end of the range.
    pub(crate) has_more: bool,
}

impl RawEntry {
    /// Returns the fields, borrowed.
    #[must_use]
    pub fn fields(&self) -> Vec<(&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
    }
}

impl Inspector {
    /// Returns the next entries of the stream at `key` after `after`, in order: at most `count`,
    /// and fewer if they are large. The list is empty only at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error, or the key is no stream.
    pub async fn entries(
        &mut self,
        key: &str,
        after: StreamId,
        count: usize,
    ) -> Result<Vec<RawEntry>, InspectError> {
        let page = self.reader.range(key, after, END, count).await?;
        let entry = |(id, fields): (StreamId, Fields)| RawEntry {
            id,
            too_large: fields.too_large(),
            fields: fields.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        };
        Ok(page.entries.into_iter().map(entry).collect())
    }

    /// Returns the entry `id` of the stream at `key`, or `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error, or the key is no stream.
    pub async fn entry(
        &mut self,
        key: &str,
        id: StreamId,
    ) -> Result<Option<RawEntry>, InspectError> {
        let found = self.entries(key, id.before(), 1).await?;
        Ok(found.into_iter().find(|entry| entry.id == id))
    }

    /// Deletes entries. Returns the number deleted.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn delete(&mut self, key: &str, ids: &[StreamId]) -> Result<u64, InspectError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut commands = Pipeline::new();
        let delete = commands.cmd("XDEL").arg(key);
        for id in ids {
            delete.arg(id.to_string());
        }
        let answer = first(self.links.run(key, &commands).await?)?;
        Ok(redis_reply::number(&answer)?)
    }

    /// Counts the entries after `after`, up to and including `last`. Stops early after about
    /// `at_most` entries, or after five seconds.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error, or the key is no stream.
    pub(crate) async fn count(
        &mut self,
        key: &str,
        after: StreamId,
        last: StreamId,
        at_most: u64,
    ) -> Result<Counted, InspectError> {
        let begun = Instant::now();
        let mut counted = Counted::default();
        let mut cursor = after;
        loop {
            let page = self.reader.range(key, cursor, last, PAGE).await?;
            counted.entries += page.entries.len() as u64;
            counted.first = counted.first.or(page.entries.first().map(|(id, _)| *id));
            cursor = page.entries.last().map_or(cursor, |(id, _)| *id);
            if page.is_last {
                return Ok(counted);
            }
            if counted.entries >= at_most || begun.elapsed() > COUNT_WITHIN {
                return Ok(Counted { has_more: true, ..counted });
            }
        }
    }

    /// Removes exactly the entries before `id`. Returns the number removed.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub(crate) async fn trim_before(
        &mut self,
        key: &str,
        id: StreamId,
    ) -> Result<u64, InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XTRIM").arg(key).arg("MINID").arg("=").arg(id.to_string());
        let answer = first(self.links.run(key, &commands).await?)?;
        Ok(redis_reply::number(&answer)?)
    }
}
