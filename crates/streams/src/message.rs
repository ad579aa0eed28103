//! Reads one message from standard input, as JSON.

use std::fmt;
use std::io::Read;

use caracal_revocation_event::Stream;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::outcome::Failure;

/// The maximum size of the input. It is larger than any message of Caracal.
const MAX_BYTES: u64 = 1 << 20;

/// An unverified message: `{"stream": NAME, "fields": …}`. The fields are an object, or pairs in
/// the order on the wire, in which a name may be repeated. `fields_hex` holds pairs of hex digits,
/// for bytes that are not UTF-8.
#[derive(Debug)]
pub(crate) struct InputMessage {
    pub(crate) stream: Stream,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Deserialize)]
struct Wrapped {
    stream: Option<String>,
    #[serde(default)]
    fields: Pairs,
    #[serde(default)]
    fields_hex: Vec<(String, String)>,
}

/// The names and values of fields, in order. Repeated names are kept.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl InputMessage {
    /// Reads a message from `input`. `stream` is needed if the message does not name its stream.
    pub(crate) fn read(stream: Option<Stream>, input: impl Read) -> Result<Self, Failure> {
        let mut text = String::new();
        input.take(MAX_BYTES).read_to_string(&mut text)?;
        Self::parse(stream, &text)
    }

    fn parse(stream: Option<Stream>, text: &str) -> Result<Self, Failure> {
        let invalid = |error| Failure::new(format!("the message on standard input: {error}"));
        let wrapped: Wrapped = serde_json::from_str(text).map_err(invalid)?;
        let named = wrapped.stream.as_deref().map(|name| {
            Stream::from_name(name).ok_or_else(|| {
                Failure::new("the message on standard input: followers do not read its stream")
            })
        });
        let stream = match (stream, named.transpose()?) {
            (Some(from_flag), Some(named)) if from_flag != named => {
                return Err(Failure::new("--stream: differs from the stream in the message"));
            }
            (from_flag, named) => from_flag.or(named).ok_or_else(|| {
                Failure::new("--stream: set it, or add \"stream\" to the message")
            })?,
        };
        let bytes = |text: &str| {
            hex(text)
                .ok_or_else(|| Failure::new("fields_hex: expected an even number of hex digits"))
        };
        let mut fields: Vec<_> = Vec::new();
        for (name, value) in wrapped.fields.0 {
            fields.push((name.into_bytes(), value.into_bytes()));
        }
        for (name, value) in wrapped.fields_hex {
            fields.push((bytes(&name)?, bytes(&value)?));
        }
        Ok(Self { stream, fields })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let (pairs, rest) = pairs.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyShape;

        impl<'de> Visitor<'de> for AnyShape {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or a list of [name, value]")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    // As the API writes fields: null is left out, a value that is no string becomes
                    // JSON text.
                    match value.get() {
                        "null" => {}
                        text if text.starts_with('"') => {
                            pairs.push((
                                name,
                                serde_json::from_str(text).map_err(de::Error::custom)?,
                            ));
                        }
                        text => pairs.push((name, text.to_owned())),
                    }
                }
                Ok(Pairs(pairs))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = list.next_element()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_any(AnyShape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        let text_of = |bytes| String::from_utf8(bytes).unwrap();
        let given = InputMessage::parse(Some(Stream::KeysInvalidate), text).unwrap();
        given.fields.into_iter().map(|(name, value)| (text_of(name), text_of(value))).collect()
    }

    #[test]
    fn keeps_repeated_field() {
        let twice = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(fields(r#"{"fields":{"a":"1","a":"2"}}"#), twice);
        assert_eq!(fields(r#"{"fields":[["a","1"],["a","2"]]}"#), twice);
        assert_eq!(fields(r#"{"fields_hex":[["61","31"],["61","32"]]}"#), twice);
    }

    #[test]
    fn writes_non_string_values_as_producers_do() {
        let given = fields(r#"{"fields":{"a":42,"b":null,"c":["x","y"],"d":true,"e":"\u0041"}}"#);
        let expected = [("a", "42"), ("c", r#"["x","y"]"#), ("d", "true"), ("e", "A")];
        assert_eq!(given, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn message_needs_one_stream_and_valid_hex() {
        assert!(InputMessage::parse(None, r#"{"fields":{}}"#).is_err());
        assert!(
            InputMessage::parse(None, r#"{"stream":"caracal.audit.events","fields":{}}"#).is_err()
        );
        let other = r#"{"stream":"caracal.sessions.revoke","fields":{}}"#;
        assert!(InputMessage::parse(Some(Stream::KeysInvalidate), other).is_err());
        assert!(InputMessage::parse(None, other).is_ok());
        assert!(hex("abc").is_none() && hex("zz").is_none());
    }
}
