//! Decodes the answers of Redis that only operators' programs ask for.

use std::time::Duration;

use caracal_revocation_stream::internal::LogError;
pub(crate) use caracal_revocation_stream::internal::reply::id;
use caracal_revocation_stream::internal::reply::{number, text};
use redis::Value;

pub(crate) const UNEXPECTED_REPLY: LogError = LogError::Reply("a list is not as expected");

pub(crate) fn list(value: &Value) -> Result<&[Value], LogError> {
    match value {
        Value::Array(list) => Ok(list),
        _ => Err(UNEXPECTED_REPLY),
    }
}

/// Returns the value of a field in a flat list of names and values.
pub(crate) fn field<'v>(item: &'v Value, name: &str) -> Result<&'v Value, LogError> {
    list(item)?
        .chunks_exact(2)
        .find_map(|pair| match pair {
            [Value::BulkString(key), value] if key == name.as_bytes() => Some(value),
            _ => None,
        })
        .ok_or(LogError::Reply("XINFO lacks a field"))
}

pub(crate) fn millis(value: &Value) -> Result<Duration, LogError> {
    number(value).map(Duration::from_millis)
}

/// Returns the group names in the answer to `XINFO GROUPS`.
pub(crate) fn group_names(answer: &Value) -> Result<Vec<String>, LogError> {
    list(answer)?.iter().map(|item| text(field(item, "name")?)).collect()
}
