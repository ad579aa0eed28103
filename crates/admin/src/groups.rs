//! The state of a consumer group: its consumers, its unread entries and its pending entries.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::InspectError;
use caracal_revocation_stream::internal::reply as redis_reply;
use redis::{Pipeline, Value};

use crate::entries::END;
use crate::inspector::{Inspector, StreamReport, first};
use crate::reply;

/// The number of entries at which a count of unread entries stops.
const MAX_COUNTED: u64 = 10_000;

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupReport {
    /// The name of the group.
    pub name: String,
    /// The last entry that was delivered to a consumer.
    pub last_delivered: StreamId,
    /// The number of entries in the stream that were never delivered to this group.
    pub unread: u64,
    /// `true` if the count stopped early: `unread` is then a lower bound.
    pub unread_at_least: bool,
    /// The id of the first unread entry.
    pub oldest_unread: Option<StreamId>,
    /// The number of entries that were removed before they were delivered. `None` if Redis'
    /// counters do not determine it.
    pub lost: Option<u64>,
    /// The number of entries delivered and not acknowledged.
    pub pending: u64,
    /// The first pending entry.
    pub oldest_pending: Option<OldestPending>,
    /// The members of the group.
    pub consumers: Vec<ConsumerReport>,
}

/// The first entry of a group that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldestPending {
    /// The id of the entry.
    pub id: StreamId,
    /// The consumer that it was last delivered to.
    pub consumer: String,
    /// The time since its last delivery.
    pub idle: Duration,
    /// The number of its deliveries.
    pub deliveries: u64,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerReport {
    /// The name of the consumer.
    pub name: String,
    /// The number of entries delivered to it and not acknowledged.
    pub pending: u64,
    /// The time since it last tried to read or claim entries.
    pub idle: Duration,
}

impl Inspector {
    /// Returns the groups of a stream, with consumers, unread entries and pending entries.
    ///
    /// Unread and lost entries are counted from ids and `entries-added`, because the `lag` of
    /// `XINFO GROUPS` becomes wrong once an entry is deleted.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn groups(
        &mut self,
        key: &str,
        stream: &StreamReport,
    ) -> Result<Vec<GroupReport>, InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("GROUPS").arg(key);
        let answer = first(self.links.run(key, &commands).await?)?;
        let mut groups = Vec::new();
        for group in reply::list(&answer)? {
            groups.push(self.group(key, stream, group).await?);
        }
        Ok(groups)
    }

    async fn group(
        &mut self,
        key: &str,
        stream: &StreamReport,
        group: &Value,
    ) -> Result<GroupReport, InspectError> {
        let name = redis_reply::text(reply::field(group, "name")?)?;
        let pending = redis_reply::number(reply::field(group, "pending")?)?;
        let last_delivered = reply::id(reply::field(group, "last-delivered-id")?)?;
        // Nil if the server does not know it.
        let entries_read = redis_reply::number(reply::field(group, "entries-read")?).ok();
        let (consumers, oldest_pending) = self.members(key, &name).await?;
        let (unread, at_least, oldest_unread) = self.unread(key, stream, last_delivered).await?;
        Ok(GroupReport {
            name,
            last_delivered,
            unread,
            unread_at_least: at_least,
            oldest_unread,
            lost: lost(stream, last_delivered, entries_read),
            pending,
            oldest_pending,
            consumers,
        })
    }

    async fn members(
        &mut self,
        key: &str,
        group: &str,
    ) -> Result<(Vec<ConsumerReport>, Option<OldestPending>), InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("CONSUMERS").arg(key).arg(group);
        commands.cmd("XPENDING").arg(key).arg(group).arg("-").arg("+").arg(1);
        let mut answers = self.links.run(key, &commands).await?.into_iter();
        let consumers = redis_reply::checked(answers.next())?;
        let consumer = |item: &Value| {
            Ok::<_, InspectError>(ConsumerReport {
                name: redis_reply::text(reply::field(item, "name")?)?,
                pending: redis_reply::number(reply::field(item, "pending")?)?,
                idle: reply::millis(reply::field(item, "idle")?)?,
            })
        };
        let consumers = reply::list(&consumers)?.iter().map(consumer).collect::<Result<_, _>>()?;
        let oldest = redis_reply::checked(answers.next())?;
        let oldest = match reply::list(&oldest)?.first().map(reply::list).transpose()? {
            Some([id, consumer, idle, deliveries]) => Some(OldestPending {
                id: reply::id(id)?,
                consumer: redis_reply::text(consumer)?,
                idle: reply::millis(idle)?,
                deliveries: redis_reply::number(deliveries)?,
            }),
            _ => None,
        };
        Ok((consumers, oldest))
    }

    /// Returns the number of entries after `delivered`, `true` if that is a lower bound, and the
    /// id of the first of them.
    async fn unread(
        &mut self,
        key: &str,
        stream: &StreamReport,
        delivered: StreamId,
    ) -> Result<(u64, bool, Option<StreamId>), InspectError> {
        if stream.length == 0 || delivered >= stream.last {
            return Ok((0, false, None));
        }
        if delivered < stream.first {
            return Ok((stream.length, false, Some(stream.first)));
        }
        let counted = self.count(key, delivered, END, MAX_COUNTED).await?;
        Ok((counted.entries, counted.has_more, counted.first))
    }
}

/// Returns the number of entries that were trimmed before they were delivered. Returns `None` if
/// entries inside the stream were deleted: Redis' counters do not separate those from trimmed ones.
fn lost(stream: &StreamReport, delivered: StreamId, entries_read: Option<u64>) -> Option<u64> {
    if delivered >= stream.first && stream.length > 0 || delivered >= stream.last {
        return Some(0);
    }
    let has_gaps = stream.length > 0 && stream.max_deleted >= stream.first;
    let gone = stream.entries_added.checked_sub(stream.length)?;
    (!has_gaps).then_some(gone)?.checked_sub(entries_read?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_entries_trimmed_before_delivery_as_lost() {
        let (first, last) = (StreamId::new(60, 0), StreamId::new(99, 0));
        let mut stream =
            StreamReport { length: 40, entries_added: 100, first, last, ..StreamReport::default() };
        assert_eq!(lost(&stream, StreamId::new(30, 0), Some(31)), Some(29));
        assert_eq!(lost(&stream, StreamId::new(70, 0), Some(71)), Some(0));
        assert_eq!(lost(&stream, StreamId::new(30, 0), None), None, "Redis did not count");
        stream.max_deleted = StreamId::new(70, 0);
        assert_eq!(lost(&stream, StreamId::new(30, 0), Some(31)), None, "deletions hide it");
        let emptied = StreamReport { length: 0, first: StreamId::ZERO, ..stream };
        assert_eq!(lost(&emptied, StreamId::new(30, 0), Some(31)), Some(69));
    }
}
