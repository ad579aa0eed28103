//! Parses the replies to commands of consumer groups.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::internal::LogError;
use caracal_revocation_stream::internal::reply::{field, id, number, text};
use redis::Value;

/// Parses a reply to `XAUTOCLAIM … JUSTID`: the id to continue from, the ids that this consumer now
/// owns, and the ids that are no longer in the stream (reported since Redis 7.0).
pub(crate) fn claimed(
    answer: &Value,
) -> Result<(StreamId, Vec<StreamId>, Vec<StreamId>), LogError> {
    const UNEXPECTED_REPLY: LogError = LogError::Reply("XAUTOCLAIM returned an unexpected reply");
    let ids = |ids: &Value| list(ids)?.iter().map(id).collect::<Result<Vec<_>, _>>();
    match list(answer)? {
        [next, claimed] => Ok((id(next)?, ids(claimed)?, Vec::new())),
        [next, claimed, trimmed, ..] => Ok((id(next)?, ids(claimed)?, ids(trimmed)?)),
        _ => Err(UNEXPECTED_REPLY),
    }
}

/// Parses a reply to `XPENDING` with a range: the id of the first entry.
pub(crate) fn first_pending(answer: &Value) -> Result<Option<StreamId>, LogError> {
    let Some(first) = list(answer)?.first() else { return Ok(None) };
    list(first)?.first().map(id).transpose()
}

/// A consumer of a group, as `XINFO CONSUMERS` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) pending: u64,
    /// The time since the server last received a command from it.
    pub(crate) idle: Duration,
}

/// Parses a reply to `XINFO CONSUMERS`.
pub(crate) fn consumers(answer: &Value) -> Result<Vec<Consumer>, LogError> {
    let consumer = |item| {
        Ok(Consumer {
            name: text(&field(item, "name")?)?,
            pending: number(&field(item, "pending")?)?,
            idle: Duration::from_millis(number(&field(item, "idle")?)?),
        })
    };
    list(answer)?.iter().map(consumer).collect()
}

fn list(answer: &Value) -> Result<&[Value], LogError> {
    match answer {
        Value::Array(list) => Ok(list),
        _ => Err(LogError::Reply("a list was expected")),
    }
}
