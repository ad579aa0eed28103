//! The errors of guarded bodies.

use caracal_revocation_state::Cut;

/// An error of any type, from a guarded body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The authority of a request ended while its body was read or written.
///
/// A server ends a response with this error as its protocol requires: HTTP/1.1 closes the
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
