//! The canonical form: the bytes that a signature covers (contract, "Signatures").

use smallvec::SmallVec;

use crate::message::Message;
use crate::rejection::MessageRejection;

/// The name of the field that carries the signature.
pub(crate) const SIGNATURE: &str = "_sig";

/// Names and values; Caracal's messages have at most eight fields and a signature.
pub(crate) type Sorted<'a> = SmallVec<[(&'a [u8], &'a [u8]); 10]>;

/// A message in canonical order, in which each field name occurs once and is fit to be signed.
pub(crate) struct Canonical<'a> {
    /// The signed stream name in two parts: the stream's name, then nothing or the suffix of its
    /// dead letters.
    pub(crate) name: [&'static str; 2],
    /// The fields in byte order of their names, without `_sig`.
    pub(crate) fields: Sorted<'a>,
    pub(crate) signature: Option<&'a [u8]>,
}

impl<'a> Canonical<'a> {
    /// Sorts a message's fields. Rejects a message that can be read in two ways, before its
    /// signature is checked: one with a repeated field, or with a name that is empty or holds `=`
    /// or a newline.
    pub(crate) fn of(message: &Message<'a>) -> Result<Self, MessageRejection> {
        Self::named([message.stream().name(), ""], message.fields())
    }

    /// Sorts the fields for a stream of any name, with the rules of [`Self::of`].
    pub(crate) fn named(
        name: [&'static str; 2],
        fields: &[(&'a [u8], &'a [u8])],
    ) -> Result<Self, MessageRejection> {
        let mut fields = Sorted::from_slice(fields);
        fields.sort_unstable_by(|one, other| one.0.cmp(other.0));
        for (name, _) in &fields {
            if name.is_empty() || name.iter().any(|byte| matches!(byte, b'=' | b'\n')) {
                return Err(MessageRejection::ambiguous_shape(
                    "a field name is empty or holds '=' or a newline",
                ));
            }
        }
        if fields.windows(2).any(|pair| matches!(pair, [one, other] if one.0 == other.0)) {
            return Err(MessageRejection::ambiguous_shape("a field name occurs twice"));
        }
        let signature = fields
            .binary_search_by(|field| field.0.cmp(SIGNATURE.as_bytes()))
            .ok()
            .map(|position| fields.remove(position).1);
        Ok(Self { name, fields, signature })
    }

    /// Calls `sink` with the canonical form, piece by piece.
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

    /// Returns the value of the field `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&'a [u8]> {
        // A linear search: there are few fields, and most names differ in length.
        self.fields.iter().find(|field| field.0 == name.as_bytes()).map(|field| field.1)
    }
}
