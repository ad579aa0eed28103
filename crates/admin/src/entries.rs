//! Entries of any stream, as bytes that nobody has verified.

use std::time::{Duration, Instant};

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::InspectError;
use caracal_revocation_stream::internal::{Fields, reply as redis_reply};
use redis::Pipeline;

use crate::inspector::{Inspector, PAGE, first};

/// Above every id.
pub(crate) const END: StreamId = StreamId::new(u64::MAX, u64::MAX);
/// Whole entries are read to count them, so of large ones only some are.
const COUNT_WITHIN: Duration = Duration::from_secs(5);

/// An entry as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawEntry {
    /// Its id.
    pub id: StreamId,
    /// Names and values, in the order of the wire.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many bytes its fields had, where those were too many to be kept.
    pub too_large: Option<u64>,
}

/// Some entries, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) entries: u64,
    pub(crate) first: Option<StreamId>,
    /// There are more than were counted.
    pub(crate) has_more: bool,
}

impl RawEntry {
    /// The fields, borrowed.
    #[must_use]
    pub fn fields(&self) -> Vec<(&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
    }
}

impl Inspector {
    /// The next entries of the stream at `key` after `after`, in order: at most `count`, and fewer
    /// where they are large. None only where nothing follows.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
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

    /// The entry `id` of the stream at `key`, if it is there.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
    pub async fn entry(
        &mut self,
        key: &str,
        id: StreamId,
    ) -> Result<Option<RawEntry>, InspectError> {
        let found = self.entries(key, id.before(), 1).await?;
        Ok(found.into_iter().find(|entry| entry.id == id))
    }

    /// Deletes entries; how many were there.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis refuses.
    pub async fn delete(&mut self, key: &str, ids: &[StreamId]) -> Result<u64, InspectError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut commands = Pipeline::new();
        let delete = commands.cmd("XDEL").arg(key);
        for id in ids {
            delete.arg(id.to_string());
        }
        let answer = first(self.links.tell(key, &commands).await?)?;
        Ok(redis_reply::number(&answer)?)
    }

    /// Counts the entries after `after`, up to `last`: to about `at_most`, and for a few seconds.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
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

    /// Removes the entries before `id`, exactly; how many that were.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis refuses.
    pub(crate) async fn trim_before(
        &mut self,
        key: &str,
        id: StreamId,
    ) -> Result<u64, InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XTRIM").arg(key).arg("MINID").arg("=").arg(id.to_string());
        let answer = first(self.links.tell(key, &commands).await?)?;
        Ok(redis_reply::number(&answer)?)
    }
}
