//! Why a message was rejected.

use std::fmt;

/// A message that changes nothing, and why.
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

/// The classes of refusal, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageRejectionKind {
    /// No signature, or none of an accepted key.
    Signature,
    /// Signed, but without what its stream requires.
    Malformed,
    /// It can be read in more than one way, and nothing in it is clean.
    Ambiguous,
    /// More bytes than any message of Caracal has. Its signature was not checked.
    TooLarge,
}

impl MessageRejectionKind {
    /// The kind as a label: `signature`, `malformed`, `ambiguous` or `too_large`.
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

    /// Ambiguous by its shape, which is judged before the signature.
    pub(crate) const fn ambiguous_shape(detail: &'static str) -> Self {
        Self { kind: MessageRejectionKind::Ambiguous, detail, signed: false }
    }

    /// The rejection of a message that was too large to be kept while it was read.
    #[must_use]
    pub const fn too_large() -> Self {
        let detail = "more bytes than any message of Caracal has; its signature was not checked";
        Self { kind: MessageRejectionKind::TooLarge, detail, signed: false }
    }

    /// The class of refusal.
    #[must_use]
    pub const fn kind(&self) -> MessageRejectionKind {
        self.kind
    }

    /// Returns `true` if the rejected message carried a valid signature. A writer to Redis has then
    /// re-cut a producer's message, and its meaning is lost.
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
