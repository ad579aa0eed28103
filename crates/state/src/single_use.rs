//! The record of mandates that may be used once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Records the first use of each mandate, for a whole fleet of gateways.
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::Mutex;
/// use std::time::Duration;
///
/// use caracal_revocation_state::{UseFuture, UseOutcome, UseRecord};
///
/// /// A record of one process, which never expires.
/// #[derive(Debug, Default)]
/// struct InMemory(Mutex<HashSet<String>>);
///
/// impl UseRecord for InMemory {
///     fn record<'a>(&'a self, id: &'a str, _: &'a str, _: Duration) -> UseFuture<'a> {
///         let is_new = self.0.lock().unwrap().insert(id.to_owned());
///         Box::pin(async move { Ok(if is_new { UseOutcome::First } else { UseOutcome::Replayed }) })
///     }
/// }
/// # fn takes(_: impl UseRecord) {}
/// # takes(InMemory::default());
/// ```
pub trait UseRecord: fmt::Debug + Send + Sync + 'static {
    /// Records that the mandate with this id (the claim `jti`) is used by the request with this id,
    /// and forgets it after `time_to_live`.
    ///
    /// Of all calls with the same id within that time, in every process, exactly one may return
    /// [`UseOutcome::First`]. The future must end: if an answer does not arrive in time, it returns an
    /// error.
    fn record<'a>(
        &'a self,
        id: &'a str,
        request_id: &'a str,
        time_to_live: Duration,
    ) -> UseFuture<'a>;
}

/// The future that [`UseRecord::record`] returns.
pub type UseFuture<'a> =
    Pin<Box<dyn Future<Output = Result<UseOutcome, UseRecordError>> + Send + 'a>>;

/// The answer of the record about one use of a mandate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseOutcome {
    /// The mandate was not used before.
    First,
    /// The mandate was used before.
    Replayed,
}

/// The error of a use that is not known to be recorded. The mandate may count as used.
///
/// Its text goes to the log, so it must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UseRecordError(String);

impl UseRecordError {
    /// Creates an error with this text.
    #[must_use]
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}
