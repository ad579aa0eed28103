//! The source of policies, which the user implements.

use std::fmt;
use std::future::Future;

use crate::PolicyBundle;
use crate::engine::BoxFuture;

/// Loads the policy of a zone from a database, a folder or a bundle server.
///
/// A zone is loaded on its first request, after an invalidation, on a safety poll, and on demand.
/// At most one load of a zone runs at a time. A load that exceeds the load timeout counts as an
/// error.
///
/// ```
/// use caracal_revocation_opa::{PolicyBundle, PolicyRequest, PolicySource, SourceError};
///
/// struct Fixed(PolicyBundle);
///
/// impl PolicySource for Fixed {
///     async fn load(
///         &self,
///         request: PolicyRequest<'_>,
///     ) -> Result<Option<PolicyBundle>, SourceError> {
///         Ok((request.zone() == "z-1").then(|| self.0.clone()))
///     }
/// }
/// ```
pub trait PolicySource: Send + Sync + 'static {
    /// Returns the current policy of the zone, or `None` if the zone has none. All its requests are
    /// then denied.
    ///
    /// Read it from a place that has the newest version. A replica that lags behind the messages is
    /// read again until it has caught up.
    ///
    /// # Errors
    ///
    /// [`SourceError`] if the policy cannot be read now. The load is then retried.
    fn load(
        &self,
        request: PolicyRequest<'_>,
    ) -> impl Future<Output = Result<Option<PolicyBundle>, SourceError>> + Send;
}

/// A request to a [`PolicySource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRequest<'a> {
    pub(crate) zone: &'a str,
    pub(crate) awaited: Option<&'a str>,
}

impl<'a> PolicyRequest<'a> {
    /// Returns the zone.
    #[must_use]
    pub const fn zone(&self) -> &'a str {
        self.zone
    }

    /// Returns the version that a message has announced and that is not loaded yet.
    #[must_use]
    pub const fn awaited(&self) -> Option<&'a str> {
        self.awaited
    }
}

/// An error of a source. Its text goes to the log, so it must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

impl SourceError {
    /// Creates an error with this text.
    #[must_use]
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// A [`PolicySource`] as a trait object.
pub(crate) trait AnySource: Send + Sync {
    fn load_boxed<'a>(
        &'a self,
        request: PolicyRequest<'a>,
    ) -> BoxFuture<'a, Result<Option<PolicyBundle>, SourceError>>;
}

impl<S: PolicySource> AnySource for S {
    fn load_boxed<'a>(
        &'a self,
        request: PolicyRequest<'a>,
    ) -> BoxFuture<'a, Result<Option<PolicyBundle>, SourceError>> {
        Box::pin(self.load(request))
    }
}
