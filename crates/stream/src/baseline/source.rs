//! The contract of a baseline.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use caracal_revocation_state::Known;

/// A second source of truth about revocations, such as Caracal's own tables in Postgres.
///
/// It can only add: nothing that a message said is ended by it.
pub trait Baseline: fmt::Debug + Send {
    /// Hands everything of the scope that it knows to `add`, out of one consistent snapshot
    /// that is begun after the call. What was added stays, even where it fails in the end.
    ///
    /// `Ok` says that the scope was read whole. It must come to an end: an answer that does not
    /// arrive is an error after a while.
    fn read<'a>(
        &'a mut self,
        scope: Scope,
        add: &'a mut (dyn FnMut(&Known<'_>) + Send),
    ) -> BaselineFuture<'a>;
}

/// What [`Baseline::read`] returns.
pub type BaselineFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BaselineError>> + Send + 'a>>;

/// How much of it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that was decided so long ago or later.
    Window(Duration),
    /// What was decided since the last reading that was whole; so long ago or later if there was
    /// none. More does no harm.
    News(Duration),
}

/// Why a second source of truth could not be read whole.
///
/// It holds no password, and nothing of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BaselineError {
    setting: &'static str,
    problem: String,
}

impl BaselineError {
    /// An error that is mended, if anywhere, in this setting.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }

    /// The setting to look at.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}
