//! The contract of a baseline.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use caracal_revocation_state::BaselineFact;

/// A second source of truth about revocations, such as Caracal's own tables in Postgres.
///
/// A baseline can only add to the state: it never undoes a message.
pub trait Baseline: fmt::Debug + Send {
    /// Hands everything of the scope that it knows to `add`, out of one consistent snapshot
    /// that is begun after the call. What was added stays, even where it fails in the end.
    ///
    /// `Ok` says that the scope was read whole. It must come to an end: an answer that does not
    /// arrive is an error after a while.
    fn read<'a>(
        &'a mut self,
        scope: Scope,
        add: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) -> BaselineFuture<'a>;
}

/// The future that [`Baseline::read`] returns.
pub type BaselineFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BaselineError>> + Send + 'a>>;

/// The part of the baseline to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All decisions within this time before now.
    Full(Duration),
    /// The decisions since the last complete read; without one, all decisions within this time
    /// before now. More decisions do no harm.
    Incremental(Duration),
}

/// The reason that a baseline could not be read completely.
///
/// It contains no password and no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BaselineError {
    setting: &'static str,
    problem: String,
}

impl BaselineError {
    /// An error whose cause is most likely this setting.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }

    /// The setting to look at.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}
