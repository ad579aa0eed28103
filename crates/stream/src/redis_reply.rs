//! Parses Redis' answers. An unexpected answer is an error, never a guess.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use redis::Value;

use crate::entry::{Counters, Entry, Head};
use crate::fields::Fields;
use crate::log_error::LogError;

/// Returns the answer, unless it is missing or an error.
pub fn checked(answer: Option<Value>) -> Result<Value, LogError> {
    match answer {
        None => Err(LogError::Reply("fewer answers than commands")),
        Some(Value::ServerError(error)) => {
            let detail = error.details().unwrap_or_default();
            Err(LogError::Redis(format!("{} {detail}", error.code())))
        }
        Some(value) => Ok(value),
    }
}

/// Parses a text of any kind.
pub fn text(value: &Value) -> Result<String, LogError> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text.clone()),
        _ => Err(LogError::Reply("text was expected")),
    }
}

/// Parses the answer to `TIME`, since the Unix epoch.
pub fn time(value: &Value) -> Result<Duration, LogError> {
    let Value::Array(parts) = value else { return Err(LogError::Reply("TIME is not an array")) };
    let [seconds, micros] = parts.as_slice() else {
        return Err(LogError::Reply("TIME is not two numbers"));
    };
    Ok(Duration::from_secs(number(seconds)?) + Duration::from_micros(number(micros)?))
}

/// Returns a field of an `INFO` section.
pub fn info_field<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Parses the answer to `XINFO STREAM`. `counts` is `true` if the server counts its entries.
pub fn head(answer: Option<Value>, counts: bool) -> Result<Head, LogError> {
    match &answer {
        Some(Value::ServerError(error))
            if error.details().unwrap_or_default().contains("no such key") =>
        {
            return Ok(Head::Missing);
        }
        _ => {}
    }
    let answer = checked(answer)?;
    let field = |name: &str| {
        pairs(&answer)
            .find(|(key, _)| matches!(key, Value::BulkString(bytes) if bytes == name.as_bytes()))
            .map(|(_, value)| value)
            .ok_or(LogError::Reply("XINFO STREAM lacks a field"))
    };
    let last_generated = id(field("last-generated-id")?)?;
    if !counts {
        return Ok(Head::Uncounted(last_generated));
    }
    Ok(Head::Present(Counters {
        last_generated,
        entries_added: number(field("entries-added")?)?,
        first: id(field("recorded-first-entry-id")?)?,
        max_deleted: id(field("max-deleted-entry-id")?)?,
    }))
}

/// Parses the answer to `XREAD`.
pub fn entries(answer: Value) -> Result<Vec<Entry>, LogError> {
    let streams = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(streams) => streams,
        _ => return Err(LogError::Reply("XREAD is not an array")),
    };
    let mut entries = Vec::new();
    for stream in streams {
        let [name, list] = array(stream)?;
        let stream = Stream::from_name(&text(&name)?)
            .ok_or(LogError::Reply("XREAD names a stream that was not asked for"))?;
        let Value::Array(list) = list else {
            return Err(LogError::Reply("the entries of a stream are not an array"));
        };
        entries.reserve(list.len());
        for item in list {
            let [key, fields] = array(item)?;
            entries.push(Entry {
                stream,
                id: id(&key)?,
                fields: self::fields(fields)?.into_iter().collect(),
            });
        }
    }
    Ok(entries)
}

/// Parses the answer to `XREAD` of one stream with any name.
pub(crate) fn entries_of_one(answer: Value) -> Result<Vec<(StreamId, Fields)>, LogError> {
    let mut streams = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(streams) => streams,
        _ => return Err(LogError::Reply("XREAD is not an array")),
    };
    let Some(stream) = streams.pop() else { return Ok(Vec::new()) };
    let [_, list] = array(stream)?;
    let Value::Array(list) = list else {
        return Err(LogError::Reply("the entries of a stream are not an array"));
    };
    let entry = |item| {
        let [key, fields] = array(item)?;
        Ok((id(&key)?, self::fields(fields)?.into_iter().collect()))
    };
    list.into_iter().map(entry).collect()
}

/// Returns the value of a field in a flat list of names and values.
pub fn field(item: &Value, name: &str) -> Result<Value, LogError> {
    pairs(item)
        .find(|(key, _)| matches!(key, Value::BulkString(bytes) if bytes == name.as_bytes()))
        .map(|(_, value)| value.clone())
        .ok_or(LogError::Reply("a list lacks a field"))
}

/// Names and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Parses the fields of an entry.
pub fn fields(value: Value) -> Result<Pairs, LogError> {
    let list = match value {
        Value::Array(list) => list,
        // An entry that was deleted while it was being read has no fields.
        Value::Nil => Vec::new(),
        _ => return Err(LogError::Reply("the fields of an entry are not an array")),
    };
    let mut fields = Vec::with_capacity(list.len() / 2);
    let mut list = list.into_iter();
    while let (Some(name), Some(value)) = (list.next(), list.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    Ok(fields)
}

fn bytes(value: Value) -> Result<Vec<u8>, LogError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(LogError::Reply("a field is not a string")),
    }
}

/// Parses a list of two items.
pub fn array(value: Value) -> Result<[Value; 2], LogError> {
    match value {
        Value::Array(list) => list.try_into().ok(),
        _ => None,
    }
    .ok_or(LogError::Reply("a pair was expected"))
}

fn pairs(value: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        _ => &[],
    };
    list.chunks_exact(2).filter_map(|pair| match pair {
        [key, value] => Some((key, value)),
        _ => None,
    })
}

/// Parses the id of an entry.
pub fn id(value: &Value) -> Result<StreamId, LogError> {
    text(value)?.parse().map_err(|_| LogError::Reply("a stream id was expected"))
}

/// Parses a number, or a text that contains one.
pub fn number(value: &Value) -> Result<u64, LogError> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(bytes) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok())
        }
        _ => None,
    }
    .ok_or(LogError::Reply("a number was expected"))
}
