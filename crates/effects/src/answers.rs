//! The answers that only a member of a consumer group reads.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::reply::{array, field, fields, id, number, text};
use caracal_revocation_stream::internal::{Entry, LogError};
use redis::Value;

/// The answer to `XAUTOCLAIM`: where to go on, the entries that are now this consumer's, and the ids
/// of those that are not in the stream any more (since Redis 7.0).
pub(crate) fn claimed(
    stream: Stream,
    answer: Value,
) -> Result<(StreamId, Vec<Entry>, Vec<StreamId>), LogError> {
    const UNLIKE: LogError = LogError::Reply("XAUTOCLAIM is not as expected");
    let Value::Array(parts) = answer else { return Err(UNLIKE) };
    let mut parts = parts.into_iter();
    let (Some(next), Some(Value::Array(list))) = (parts.next(), parts.next()) else {
        return Err(UNLIKE);
    };
    let entry = |item| {
        let [key, fields] = array(item)?;
        Ok(Entry { stream, id: id(&key)?, fields: self::fields(fields)?.into_iter().collect() })
    };
    let entries = list.into_iter().map(entry).collect::<Result<_, _>>()?;
    let trimmed = match parts.next() {
        Some(trimmed) => self::list(&trimmed)?.iter().map(id).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok((id(&next)?, entries, trimmed))
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
