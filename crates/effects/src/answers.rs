//! The answers that only a member of a consumer group reads.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::internal::LogError;
use caracal_revocation_stream::internal::reply::{field, id, number, text};
use redis::Value;

/// The answer to `XAUTOCLAIM … JUSTID`: where to go on, the ids of the entries that are now this
/// consumer's, and of those that are not in the stream any more (since Redis 7.0).
pub(crate) fn claimed(
    answer: &Value,
) -> Result<(StreamId, Vec<StreamId>, Vec<StreamId>), LogError> {
    const UNLIKE: LogError = LogError::Reply("XAUTOCLAIM is not as expected");
    let ids = |ids: &Value| list(ids)?.iter().map(id).collect::<Result<Vec<_>, _>>();
    match list(answer)? {
        [next, claimed] => Ok((id(next)?, ids(claimed)?, Vec::new())),
        [next, claimed, trimmed, ..] => Ok((id(next)?, ids(claimed)?, ids(trimmed)?)),
        _ => Err(UNLIKE),
    }
}

/// The id of the first entry in the answer to `XPENDING` with a range.
pub(crate) fn first_pending(answer: &Value) -> Result<Option<StreamId>, LogError> {
    let Some(first) = list(answer)?.first() else { return Ok(None) };
    list(first)?.first().map(id).transpose()
}

/// A consumer of a group, as `XINFO CONSUMERS` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) pending: u64,
    /// How long ago the server last heard of it.
    pub(crate) idle: Duration,
}

/// The answer to `XINFO CONSUMERS`.
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
