//! The canonical form: the bytes that a signature covers (contract, "Signatures").

use smallvec::SmallVec;

use crate::key::Key;
use crate::{Message, Rejection, Stream};

/// The name of the field that carries the signature.
pub(crate) const SIGNATURE: &str = "_sig";

/// What a stream's name ends in where its dead letters are.
pub(crate) const DEAD: &str = ".dead";

/// Names and values; Caracal's messages have at most eight fields and a signature.
type Sorted<'a> = SmallVec<[(&'a [u8], &'a [u8]); 10]>;

/// A message whose fields stand in canonical order, each name once and fit to be signed.
pub(crate) struct Canonical<'a> {
    /// The name of the stream that is signed for, in two parts: a stream's own and nothing, or
    /// [`DEAD`].
    pub(crate) name: [&'static str; 2],
    /// In byte order of the names, without `_sig`.
    pub(crate) fields: Sorted<'a>,
    pub(crate) signature: Option<&'a [u8]>,
}

impl<'a> Canonical<'a> {
    /// Refuses what could be read in two ways, before any signature is looked at: a repeated
    /// field, and a name that is empty or holds `=` or a newline.
    pub(crate) fn of(message: &Message<'a>) -> Result<Self, Rejection> {
        Self::named([message.stream().name(), ""], message.fields())
    }

    /// The same of a stream with any name.
    pub(crate) fn named(
        name: [&'static str; 2],
        fields: &[(&'a [u8], &'a [u8])],
    ) -> Result<Self, Rejection> {
        let mut fields = Sorted::from_slice(fields);
        fields.sort_unstable_by(|one, other| one.0.cmp(other.0));
        for (name, _) in &fields {
            if name.is_empty() || name.iter().any(|byte| matches!(byte, b'=' | b'\n')) {
                return Err(Rejection::ambiguous_shape(
                    "a field name is empty or holds '=' or a newline",
                ));
            }
        }
        if fields.windows(2).any(|pair| matches!(pair, [one, other] if one.0 == other.0)) {
            return Err(Rejection::ambiguous_shape("a field stands twice"));
        }
        let signature = fields
            .binary_search_by(|field| field.0.cmp(SIGNATURE.as_bytes()))
            .ok()
            .map(|position| fields.remove(position).1);
        Ok(Self { name, fields, signature })
    }

    /// Hands the canonical form to `sink`, piece by piece.
    #[inline]
    pub(crate) fn write(&self, mut sink: impl FnMut(&[u8])) {
        for part in self.name {
            sink(part.as_bytes());
        }
        sink(b"\n");
        for (name, value) in &self.fields {
            sink(name);
            sink(b"=");
            sink(value);
            sink(b"\n");
        }
    }

    /// The value of the field `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&'a [u8]> {
        // There are few, and most differ in length already.
        self.fields.iter().find(|field| field.0 == name.as_bytes()).map(|field| field.1)
    }
}

/// Signs `fields` for `stream` by appending `_sig`, replacing one that is there.
///
/// The signature is lower-case hex of HMAC-SHA256 over the canonical form, as every producer of
/// Caracal writes it. Leave null values out of `fields`; empty ones are signed.
pub fn sign(key: &Key, stream: Stream, fields: &mut Vec<(String, String)>) {
    sign_as(key, [stream.name(), ""], fields);
}

/// Signs `fields` for the dead-letter stream of `stream`, as [`sign`] does for the stream itself.
pub fn sign_dead_letter(key: &Key, stream: Stream, fields: &mut Vec<(String, String)>) {
    sign_as(key, [stream.name(), DEAD], fields);
}

pub(crate) fn sign_as(key: &Key, name: [&'static str; 2], fields: &mut Vec<(String, String)>) {
    fields.retain(|(name, _)| name != SIGNATURE);
    let mut ordered: Sorted<'_> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    ordered.sort_unstable_by(|one, other| one.0.cmp(other.0));
    let canonical = Canonical { name, fields: ordered, signature: None };
    let signature = hex::encode(key.mac(&canonical));
    drop(canonical);
    fields.push((SIGNATURE.to_owned(), signature));
}
