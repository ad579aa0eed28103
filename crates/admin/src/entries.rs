//! Entries of any stream, as bytes that nobody has verified.

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::InspectError;
use caracal_revocation_stream::internal::reply as redis_reply;
use redis::Pipeline;

use crate::inspector::{Inspector, first};
use crate::reply;

/// An entry as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawEntry {
    /// Its id.
    pub id: StreamId,
    /// Names and values, in the order of the wire.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl RawEntry {
    /// The fields, borrowed.
    #[must_use]
    pub fn fields(&self) -> Vec<(&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
    }
}

impl Inspector {
    /// At most `count` entries of the stream at `key` after `after`, in order. None when nothing
    /// is there.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
    pub async fn entries(
        &mut self,
        key: &str,
        after: StreamId,
        count: u64,
    ) -> Result<Vec<RawEntry>, InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XRANGE").arg(key).arg(format!("({after}")).arg("+").arg("COUNT").arg(count);
        let answer = first(self.links.tell(key, &commands).await?)?;
        let entry = |item: &redis::Value| match reply::list(item)? {
            [id, fields] => {
                Ok(RawEntry { id: reply::id(id)?, fields: redis_reply::fields(fields.clone())? })
            }
            _ => Err(reply::UNLIKE),
        };
        Ok(reply::list(&answer)?.iter().map(entry).collect::<Result<_, _>>()?)
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

    /// How many entries stand before `id`, counted up to about `at_most`.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say, or the key holds something else.
    pub(crate) async fn count_before(
        &mut self,
        key: &str,
        id: StreamId,
        at_most: u64,
    ) -> Result<u64, InspectError> {
        const PAGE: u64 = 1_000;
        let (mut count, mut cursor) = (0, StreamId::ZERO);
        while count < at_most && id > StreamId::ZERO {
            let ids = self.ids(key, cursor, id.before(), PAGE).await?;
            count += ids.len() as u64;
            match ids.last() {
                Some(last) if ids.len() as u64 == PAGE => cursor = *last,
                _ => break,
            }
        }
        Ok(count)
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
