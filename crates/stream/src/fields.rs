//! The fields of an entry, as positions in the bytes that were read.

use bytes::Bytes;
use smallvec::SmallVec;

/// Unverified names and values as bytes, in the order of the wire.
///
/// They share the bytes of the answer that they came in, so a copy keeps all of that answer.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Bytes,
    /// A name, its value, and so on; Caracal's messages have at most eight fields.
    places: SmallVec<[Place; 16]>,
    /// The size of the fields, if they were too large to be kept; then there are no positions.
    left_out: Option<u64>,
}

/// The start and the end of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The fields as others take them.
pub(crate) type Borrowed<'f> = SmallVec<[(&'f [u8], &'f [u8]); 8]>;

impl Fields {
    /// The texts at these positions of `bytes`. A last name without a value is left out.
    pub(crate) fn new(bytes: Bytes, places: SmallVec<[Place; 16]>) -> Self {
        Self { bytes, places, left_out: None }
    }

    /// Fields of so many bytes that they were not kept.
    pub(crate) fn left_out(bytes: u64) -> Self {
        Self { left_out: Some(bytes), ..Self::default() }
    }

    /// Returns the size of the fields, if they were too large to be kept.
    pub const fn too_large(&self) -> Option<u64> {
        self.left_out
    }

    /// Returns `true` if the entry left the stream before its fields were read.
    pub fn is_gone(&self) -> bool {
        self.places.is_empty() && self.left_out.is_none()
    }

    /// The same fields without the rest of the answer that they came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { left_out: self.left_out, ..self.iter().collect() }
    }

    /// Names and values, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.as_chunks::<2>().0.iter().map(|[name, value]| (self.at(*name), self.at(*value)))
    }

    /// All of them, borrowed.
    pub fn borrowed(&self) -> Borrowed<'_> {
        self.iter().collect()
    }

    /// Returns the number of bytes of all names and values.
    pub fn size(&self) -> usize {
        self.places.iter().map(|place| self.at(*place).len()).sum()
    }

    fn at(&self, place: Place) -> &[u8] {
        self.bytes.get(place.start as usize..place.end as usize).unwrap_or_default()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let (mut bytes, mut places) = (Vec::new(), SmallVec::new());
        let mut put = |text: &[u8]| {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(text);
            places.push(Place { start, end: bytes.len() as u32 });
        };
        for (name, value) in fields {
            put(name.as_ref());
            put(value.as_ref());
        }
        Self { bytes: bytes.into(), places, left_out: None }
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.left_out == other.left_out && self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_was_put_in() {
        let put: [(&[u8], &[u8]); 3] = [(b"zone_id", b"z"), (b"", b"\xff"), (b"zone_id", b"")];
        let fields: Fields = put.into_iter().collect();
        assert_eq!(fields.borrowed().as_slice(), put);
        assert_eq!(fields.size(), 16);
        assert_ne!(fields, put.into_iter().rev().collect());
    }

    #[test]
    fn a_name_without_a_value_is_no_field() {
        let places = [Place { start: 0, end: 1 }; 3].into_iter().collect();
        let fields = Fields::new(Bytes::from_static(b"a"), places);
        assert_eq!(fields.borrowed().as_slice(), [(b"a".as_slice(), b"a".as_slice())]);
    }
}
