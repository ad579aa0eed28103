//! The shapes that only an operator's questions are answered in.

use std::time::Duration;

use redis::Value;

use crate::log::LogError;
use crate::redis_reply;
pub(super) use crate::redis_reply::id;

pub(super) const UNLIKE: LogError = LogError::Reply("a list is not as expected");

pub(super) fn list(value: &Value) -> Result<&[Value], LogError> {
    match value {
        Value::Array(list) => Ok(list),
        _ => Err(UNLIKE),
    }
}

/// The value of a field in a flat list of names and values.
pub(super) fn field<'v>(item: &'v Value, name: &str) -> Result<&'v Value, LogError> {
    list(item)?
        .chunks_exact(2)
        .find_map(|pair| match pair {
            [Value::BulkString(key), value] if key == name.as_bytes() => Some(value),
            _ => None,
        })
        .ok_or(LogError::Reply("XINFO lacks a field"))
}

pub(super) fn millis(value: &Value) -> Result<Duration, LogError> {
    redis_reply::number(value).map(Duration::from_millis)
}
