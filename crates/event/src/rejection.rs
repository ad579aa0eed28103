//! The reason why a message was rejected.

use std::fmt;

/// The reason why a message was rejected; the message changes nothing.
///
/// ```
/// use caracal_revocation_event::{KeyRing, Message, MessageRejectionKind, Stream};
/// let fields: [(&[u8], &[u8]); 1] = [(b"reason", b"no anchor beside it")];
/// let message = Message::new(Stream::SessionsRevoke, &fields);
/// let rejection = KeyRing::insecure_accept_unsigned().verify(&message).unwrap_err();
/// assert_eq!(rejection.kind(), MessageRejectionKind::Malformed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MessageRejection {
    kind: MessageRejectionKind,
    detail: &'static str,
    signed: bool,
}

/// The kinds of rejection, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageRejectionKind {
    /// The message has no signature of an accepted key.
    Signature,
    /// The message is signed, but lacks a field that its stream requires.
    Malformed,
    /// The message can be read in more than one way, and no value in it is clean (contract,
    /// "Ambiguous messages").
    Ambiguous,
    /// The message has more bytes than any message of Caracal. Its signature was not checked.
    TooLarge,
}

impl MessageRejectionKind {
    /// Returns the kind as a label: `signature`, `malformed`, `ambiguous` or `too_large`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::TooLarge => "too_large",
        }
    }
}

impl MessageRejection {
    pub(crate) const fn signature(detail: &'static str) -> Self {
        Self { kind: MessageRejectionKind::Signature, detail, signed: false }
    }

    pub(crate) const fn malformed(detail: &'static str) -> Self {
        Self { kind: MessageRejectionKind::Malformed, detail, signed: true }
    }

    pub(crate) const fn ambiguous(detail: &'static str) -> Self {
        Self { kind: MessageRejectionKind::Ambiguous, detail, signed: true }
    }

    /// Returns the rejection for an ambiguous shape, which is checked before the signature.
    pub(crate) const fn ambiguous_shape(detail: &'static str) -> Self {
        Self { kind: MessageRejectionKind::Ambiguous, detail, signed: false }
    }

    /// Returns the rejection for a message that was too large to keep while it was read.
    #[must_use]
    pub const fn too_large() -> Self {
        let detail = "more bytes than any message of Caracal has; its signature was not checked";
        Self { kind: MessageRejectionKind::TooLarge, detail, signed: false }
    }

    /// Returns the kind of rejection.
    #[must_use]
    pub const fn kind(&self) -> MessageRejectionKind {
        self.kind
    }

    /// Returns `true` if the rejected message carried a valid signature. A writer to Redis has then
    /// moved text between the fields of a producer's message (contract, "Ambiguous messages"), and
    /// its meaning is lost.
    #[must_use]
    pub const fn was_signed(&self) -> bool {
        self.signed
    }
}

impl fmt::Display for MessageRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.detail)
    }
}
