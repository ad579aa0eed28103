//! The canonical form: the bytes that a signature covers (contract, "Signatures").

use smallvec::SmallVec;

use crate::message::Message;
use crate::rejection::MessageRejection;

/// Returns the canonical form of these fields on the stream of this name: the bytes that
/// [`sign_for`](crate::sign_for) signs. `_sig` is left out.
///
/// ```
/// use caracal_revocation_event::canonical_form;
/// let fields: [(&[u8], &[u8]); 3] = [(b"b", b""), (b"a", b"1"), (b"_sig", b"beef")];
/// assert_eq!(canonical_form("audit:events", &fields)?, b"audit:events\na=1\nb=\n");
/// # Ok::<(), caracal_revocation_event::MessageRejection>(())
/// ```
///
/// # Errors
///
/// A [`MessageRejection`] if the fields or the name can be read in two ways: a field occurs twice,
/// a field's name is empty or holds `=` or a newline, or the stream's name holds a newline.
pub fn canonical_form(
    stream: &str,
    fields: &[(&[u8], &[u8])],
) -> Result<Vec<u8>, MessageRejection> {
    let mut form = Vec::new();
    Canonical::of_any_stream(stream, fields)?.write(|piece| form.extend_from_slice(piece));
    Ok(form)
}

/// The name of the field that carries the signature.
pub(crate) const SIGNATURE: &str = "_sig";

/// Names and values; Caracal's messages have at most eight fields and a signature.
pub(crate) type Sorted<'a> = SmallVec<[(&'a [u8], &'a [u8]); 10]>;

/// A message in canonical order, in which each field name occurs once and is fit to be signed.
pub(crate) struct Canonical<'a> {
    /// The signed stream name in two parts: the stream's name, then nothing or the suffix of its
    /// dead letters.
    pub(crate) name: [&'a str; 2],
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

    /// Sorts the fields for the stream of a name that a caller chose. Rejects a name with a newline
    /// too: its rest would read like a field.
    pub(crate) fn of_any_stream(
        stream: &'a str,
        fields: &[(&'a [u8], &'a [u8])],
    ) -> Result<Self, MessageRejection> {
        if stream.contains('\n') {
            return Err(MessageRejection::ambiguous_shape("the stream's name holds a newline"));
        }
        Self::named([stream, ""], fields)
    }

    /// Sorts the fields for a stream of a name without a newline, with the rules of [`Self::of`].
    pub(crate) fn named(
        name: [&'a str; 2],
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
