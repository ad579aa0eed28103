//! The untrusted form of a message: a stream's name and a flat list of fields.

use crate::stream::Stream;

/// A message as it was read from a stream, before any verification.
///
/// Names and values are bytes, because any writer to Redis can write text that is not UTF-8.
///
/// ```
/// use caracal_revocation_event::{Message, Stream};
/// let fields: [(&[u8], &[u8]); 2] = [(b"zone_id", b"z-1"), (b"note", b"\xff\xfe")];
/// let message = Message::new(Stream::KeysInvalidate, &fields);
/// assert_eq!(message.stream(), Stream::KeysInvalidate);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    stream: Stream,
    fields: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> Message<'a> {
    /// Creates a message of `stream` with these fields, in the order in which they were received.
    #[must_use]
    pub const fn new(stream: Stream, fields: &'a [(&'a [u8], &'a [u8])]) -> Self {
        Self { stream, fields }
    }

    /// Returns the stream in which the message was found.
    #[must_use]
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// Returns the fields, in the order in which they were received.
    #[must_use]
    pub const fn fields(&self) -> &'a [(&'a [u8], &'a [u8])] {
        self.fields
    }
}
