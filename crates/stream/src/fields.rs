//! The fields of an entry, stored as positions in the received bytes.

use bytes::Bytes;
use smallvec::SmallVec;

/// Unverified field names and values as bytes, in the order of the wire.
///
/// They share the bytes of the whole answer, so a clone keeps that answer in memory.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Bytes,
    /// The positions of names and values in turn. Caracal's messages have at most eight fields.
    places: SmallVec<[Place; 16]>,
    /// The size of the fields, if they were too large to be kept. Then there are no positions.
    left_out: Option<u64>,
}

/// The start and the end of a name or value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Borrowed names and values.
pub(crate) type Borrowed<'f> = SmallVec<[(&'f [u8], &'f [u8]); 8]>;

impl Fields {
    /// Creates fields from positions in `bytes`. A last name without a value is ignored.
    pub(crate) fn new(bytes: Bytes, places: SmallVec<[Place; 16]>) -> Self {
        Self { bytes, places, left_out: None }
    }

    /// Creates fields that were too large to be kept, of this size.
    pub(crate) fn left_out(bytes: u64) -> Self {
        Self { left_out: Some(bytes), ..Self::default() }
    }

    /// Returns the size of the fields, if they were too large to be kept.
    pub const fn too_large(&self) -> Option<u64> {
        self.left_out
    }

    /// Returns `true` if the entry was removed from the stream before its fields were read.
    pub fn is_gone(&self) -> bool {
        self.places.is_empty() && self.left_out.is_none()
    }

    /// Returns a copy of the fields that does not keep the whole answer in memory.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { left_out: self.left_out, ..self.iter().collect() }
    }

    /// Returns names and values, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.as_chunks::<2>().0.iter().map(|[name, value]| (self.at(*name), self.at(*value)))
    }

    /// Returns all names and values, borrowed.
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
    fn iterates_original_fields_in_order() {
        let put: [(&[u8], &[u8]); 3] = [(b"zone_id", b"z"), (b"", b"\xff"), (b"zone_id", b"")];
        let fields: Fields = put.into_iter().collect();
        assert_eq!(fields.borrowed().as_slice(), put);
        assert_eq!(fields.size(), 16);
        assert_ne!(fields, put.into_iter().rev().collect());
    }

    #[test]
    fn ignores_name_without_value() {
        let places = [Place { start: 0, end: 1 }; 3].into_iter().collect();
        let fields = Fields::new(Bytes::from_static(b"a"), places);
        assert_eq!(fields.borrowed().as_slice(), [(b"a".as_slice(), b"a".as_slice())]);
    }
}
