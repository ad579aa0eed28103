//! Where policies come from: written by the user, asked for one zone at a time.

use std::fmt;
use std::future::Future;

use crate::PolicyBundle;
use crate::engine::BoxFuture;

/// Loads the policy of a zone: from a database, a folder, a bundle server.
///
/// It is asked on first use, after an invalidation, now and then, and on demand; never twice at a
/// time for a zone. An answer that takes longer than the load timeout counts as an error.
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
    /// The zone's policy as it is now, or `None` if the zone has none: everything is then denied.
    ///
    /// Read it where the newest version can be seen: a replica that lags behind the messages is
    /// asked again and again until it has caught up.
    fn load(
        &self,
        request: PolicyRequest<'_>,
    ) -> impl Future<Output = Result<Option<PolicyBundle>, SourceError>> + Send;
}

/// What is asked of a [`PolicySource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRequest<'a> {
    pub(crate) zone: &'a str,
    pub(crate) awaited: Option<&'a str>,
}

impl<'a> PolicyRequest<'a> {
    /// The zone.
    #[must_use]
    pub const fn zone(&self) -> &'a str {
        self.zone
    }

    /// The version that a message says is in force and that is not loaded yet.
    #[must_use]
    pub const fn awaited(&self) -> Option<&'a str> {
        self.awaited
    }
}

/// A source that could not answer. Its text goes to the log: it must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

impl SourceError {
    /// An error with this text.
    #[must_use]
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// The same, behind a pointer.
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
