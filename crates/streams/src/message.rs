//! One message on standard input, as JSON.

use std::fmt;
use std::io::Read;

use caracal_revocation_event::Stream;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::outcome::Failure;

/// Larger than any message of Caracal's.
const MAX_BYTES: u64 = 1 << 20;

/// A message of which nothing is believed yet: `{"stream": NAME, "fields": …}`, with the fields
/// as an object, or as pairs in the order of the wire (which may hold one twice). `fields_hex` is
/// the same as pairs of hex, for bytes that are not UTF-8.
#[derive(Debug)]
pub(crate) struct Given {
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

/// Names and values, none merged.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Given {
    /// Reads standard input; `stream` is asked for where the message does not say it.
    pub(crate) fn read(stream: Option<Stream>, input: impl Read) -> Result<Self, Failure> {
        let mut text = String::new();
        input.take(MAX_BYTES).read_to_string(&mut text)?;
        Self::parse(stream, &text)
    }

    fn parse(stream: Option<Stream>, text: &str) -> Result<Self, Failure> {
        let unlike = |error| Failure::new(format!("the message on standard input: {error}"));
        let wrapped: Wrapped = serde_json::from_str(text).map_err(unlike)?;
        let named = wrapped.stream.as_deref().map(|name| {
            Stream::from_name(name).ok_or_else(|| {
                Failure::new("the message on standard input: its stream changes no state")
            })
        });
        let stream = match (stream, named.transpose()?) {
            (Some(asked), Some(named)) if asked != named => {
                return Err(Failure::new("--stream: the message says another one"));
            }
            (asked, named) => asked.or(named).ok_or_else(|| {
                Failure::new("--stream: say it here, or as \"stream\" in the message")
            })?,
        };
        let bytes = |text: &str| {
            hex(text)
                .ok_or_else(|| Failure::new("fields_hex: an even number of hex digits, please"))
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
                    // As the API writes them: null is left out, what is no string is JSON text.
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
        let given = Given::parse(Some(Stream::KeysInvalidate), text).unwrap();
        given.fields.into_iter().map(|(name, value)| (text_of(name), text_of(value))).collect()
    }

    #[test]
    fn a_field_that_stands_twice_stays_twice() {
        let twice = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(fields(r#"{"fields":{"a":"1","a":"2"}}"#), twice);
        assert_eq!(fields(r#"{"fields":[["a","1"],["a","2"]]}"#), twice);
        assert_eq!(fields(r#"{"fields_hex":[["61","31"],["61","32"]]}"#), twice);
    }

    #[test]
    fn what_is_no_string_becomes_what_a_producer_writes() {
        let given = fields(r#"{"fields":{"a":42,"b":null,"c":["x","y"],"d":true,"e":"\u0041"}}"#);
        let expected = [("a", "42"), ("c", r#"["x","y"]"#), ("d", "true"), ("e", "A")];
        assert_eq!(given, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_message_needs_one_stream_and_well_formed_hex() {
        assert!(Given::parse(None, r#"{"fields":{}}"#).is_err());
        assert!(Given::parse(None, r#"{"stream":"caracal.audit.events","fields":{}}"#).is_err());
        let other = r#"{"stream":"caracal.sessions.revoke","fields":{}}"#;
        assert!(Given::parse(Some(Stream::KeysInvalidate), other).is_err());
        assert!(Given::parse(None, other).is_ok());
        assert!(hex("abc").is_none() && hex("zz").is_none());
    }
}
