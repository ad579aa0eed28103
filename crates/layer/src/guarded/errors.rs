//! The errors of the bodies that a layer hands on.

use caracal_revocation_state::Cut;

/// An error of any type, of a body that a layer hands on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The authority behind a request has ended while its body was read or written.
///
/// A server ends a response with this error in the way of the protocol: HTTP/1.1 closes the
/// connection early, HTTP/2 resets the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut: the authority behind the request has ended ({})", cut.label())]
pub struct CutError {
    cut: Cut,
}

impl CutError {
    pub(crate) const fn new(cut: Cut) -> Self {
        Self { cut }
    }

    /// Returns the reason.
    #[must_use]
    pub const fn cut(&self) -> Cut {
        self.cut
    }
}
