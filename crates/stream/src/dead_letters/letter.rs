//! A dead letter, in either of the shapes that services write (contract, "Failures").

use std::fmt;

use caracal_revocation_event::{Key, Stream, StreamId, sign_dead_letter};
use serde_json::Value;

use crate::entry::Entry;

/// The largest message, in bytes, whose fields are kept. That is a thousand times the size of
/// Caracal's messages, and 10,000 such letters still fit into a server's memory.
pub(super) const MAX_LETTER: u64 = 64 << 10;

/// A message that could not be used, with the reason and its id.
///
/// Services write two shapes, and both are parsed (contract, "Failures"). The STS and the Gateway
/// write `original_id`, `error` and `values`, as this crate does. Resource servers write
/// `source_id`, `reason` and `payload`.
///
/// ```
/// use caracal_revocation_event::Stream;
/// use caracal_revocation_stream::DeadLetter;
///
/// let fields: [(&[u8], &[u8]); 3] =
///     [(b"source_id", b"17-0"), (b"reason", b"malformed"), (b"payload", br#"{"sid":""}"#)];
/// let letter = DeadLetter::parse(&fields)?;
/// assert_eq!((letter.original_id(), letter.error()), ("17-0", "malformed"));
/// assert_eq!(letter.fields(), Some(vec![("sid".to_owned(), String::new())]));
///
/// let written = letter.into_fields(Stream::SessionsRevoke, None);
/// assert_eq!(written[0], ("original_id".to_owned(), "17-0".to_owned()));
/// # Ok::<(), caracal_revocation_stream::ParseDeadLetterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    original_id: Box<str>,
    error: Box<str>,
    values: Box<str>,
}

/// The error of fields that fit neither shape, or that repeat a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a dead letter: exactly one of `{0}` and its counterpart is expected")]
pub struct ParseDeadLetterError(&'static str);

impl DeadLetter {
    /// Creates the dead letter of the message at `id` with these fields.
    ///
    /// Invalid UTF-8 is replaced by replacement characters. A repeated field is kept twice.
    #[must_use]
    pub fn of(id: StreamId, error: &str, fields: &[(&[u8], &[u8])]) -> Self {
        let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
        let members: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
        Self {
            original_id: id.to_string().into(),
            error: error.into(),
            values: format!("{{{}}}", members.join(",")).into(),
        }
    }

    /// Creates the dead letter of a message that is too large, without its fields.
    fn without_fields(id: StreamId, error: &str) -> Self {
        Self { original_id: id.to_string().into(), error: error.into(), values: "null".into() }
    }

    /// Returns its size in bytes.
    pub(super) fn size(&self) -> usize {
        self.original_id.len() + self.error.len() + self.values.len()
    }

    /// Parses an entry of a dead-letter stream.
    ///
    /// # Errors
    ///
    /// [`ParseDeadLetterError`] names the field that is missing or ambiguous.
    pub fn parse(fields: &[(&[u8], &[u8])]) -> Result<Self, ParseDeadLetterError> {
        let one_of = |name: &'static str, other: &str| {
            let mut found = fields
                .iter()
                .filter(|(key, _)| *key == name.as_bytes() || *key == other.as_bytes())
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned().into_boxed_str());
            match (found.next(), found.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(ParseDeadLetterError(name)),
            }
        };
        Ok(Self {
            original_id: one_of("original_id", "source_id")?,
            error: one_of("error", "reason")?,
            values: one_of("values", "payload")?,
        })
    }

    /// Returns the id of the message in its own stream, as written in the letter.
    #[must_use]
    pub fn original_id(&self) -> &str {
        &self.original_id
    }

    /// Returns the original id as a stream id, if it is valid.
    #[must_use]
    pub fn stream_id(&self) -> Option<StreamId> {
        self.original_id.parse().ok()
    }

    /// Returns the reason, in the words of the service that rejected the message.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Returns the message's fields as JSON text.
    #[must_use]
    pub fn values(&self) -> &str {
        &self.values
    }

    /// Returns the message's fields in the order of the JSON text, `_sig` included, or `None` if
    /// that text is not an object. A value that is not a string is returned as JSON text, and null
    /// values are left out.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<(String, String)>> {
        serde_json::from_str::<Members>(&self.values).ok().map(|Members(members)| members)
    }

    /// Returns the fields to write to the dead-letter stream of `stream`, signed if a key is given.
    #[must_use]
    pub fn into_fields(self, stream: Stream, key: Option<&Key>) -> Vec<(String, String)> {
        let mut fields = vec![
            ("original_id".to_owned(), self.original_id.into()),
            ("error".to_owned(), self.error.into()),
            ("values".to_owned(), self.values.into()),
        ];
        if let Some(key) = key {
            sign_dead_letter(key, stream, &mut fields);
        }
        fields
    }
}

/// Returns the dead letter of a rejected message, without its fields if they are too large.
pub fn bounded(entry: &Entry, error: &str) -> DeadLetter {
    let size = entry.fields.too_large().unwrap_or(entry.fields.size() as u64);
    if size > MAX_LETTER {
        let error = format!("{error}; its fields are not kept: {size} bytes");
        return DeadLetter::without_fields(entry.id, &error);
    }
    DeadLetter::of(entry.id, error, &entry.fields.borrowed())
}

/// The members of a JSON object, repeated ones included.
struct Members(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> serde::de::Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    match value {
                        Value::Null => {}
                        Value::String(text) => members.push((name, text)),
                        other => members.push((name, other.to_string())),
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[(&str, &str)]) -> Result<DeadLetter, ParseDeadLetterError> {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        DeadLetter::parse(&fields)
    }

    #[test]
    fn parses_both_shapes_and_no_other() {
        let of_gateway = [("original_id", "1-2"), ("error", "why"), ("values", r#"{"a":"b"}"#)];
        let of_resource = [("source_id", "1-2"), ("reason", "why"), ("payload", r#"{"a":"b"}"#)];
        let letter = parse(&of_gateway).unwrap();
        assert_eq!(parse(&of_resource).unwrap(), letter);
        assert_eq!(letter.stream_id(), Some(StreamId::new(1, 2)));
        for missing in 0..3 {
            let mut fields = of_gateway.to_vec();
            fields.remove(missing);
            assert!(parse(&fields).is_err(), "{fields:?}");
        }
        let both = [of_gateway.as_slice(), of_resource.as_slice()].concat();
        assert_eq!(parse(&both), Err(ParseDeadLetterError("original_id")));
    }

    #[test]
    fn letter_keeps_original_fields() {
        let fields: [(&[u8], &[u8]); 4] =
            [(b"sid", b"ar\n-1"), (b"sid", b"ar-2"), (b"\"", b"\xff"), (b"_sig", b"00")];
        let letter = DeadLetter::of(StreamId::new(7, 1), "ambiguous", &fields);
        let written = letter.clone().into_fields(Stream::SessionsRevoke, None);
        let read: Vec<_> = written.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(parse(&read).unwrap(), letter);
        let kept = letter.fields().unwrap();
        let kept: Vec<_> = kept.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(kept, [("sid", "ar\n-1"), ("sid", "ar-2"), ("\"", "\u{fffd}"), ("_sig", "00")]);
    }

    #[test]
    fn keeps_values_that_are_no_object_as_text() {
        let letter = parse(&[("original_id", "x"), ("error", ""), ("values", "[1]")]).unwrap();
        assert_eq!((letter.fields(), letter.stream_id(), letter.values()), (None, None, "[1]"));
        let values = r#"{"n":42,"list":["a"],"none":null}"#;
        let letter = parse(&[("original_id", "x"), ("error", ""), ("values", values)]).unwrap();
        let fields = letter.fields().unwrap();
        assert_eq!(fields, [("n".into(), "42".into()), ("list".into(), r#"["a"]"#.into())]);
    }
}
