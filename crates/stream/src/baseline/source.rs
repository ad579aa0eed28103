//! The trait of a baseline, and its errors.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use caracal_revocation_state::BaselineFact;

/// A second source of truth about revocations, such as Caracal's own tables in Postgres.
///
/// A baseline only adds to the state. It never undoes a message.
pub trait Baseline: fmt::Debug + Send {
    /// Passes every known fact of the scope to `add`, from one consistent snapshot that begins
    /// after the call. Facts stay added even if the read fails later.
    ///
    /// Returns `Ok` only if the whole scope was read. The future must end: if an answer does not
    /// arrive in time, it returns an error.
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
    /// All decisions within this period before now.
    Full(Duration),
    /// The decisions since the last complete read. If there was none, all decisions within this
    /// period before now. Reading more decisions is harmless.
    Incremental(Duration),
}

/// The error of a baseline that could not be read completely.
///
/// It contains neither passwords nor addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BaselineError {
    setting: &'static str,
    problem: String,
}

impl BaselineError {
    /// Creates an error whose likely cause is this setting.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }

    /// Returns the setting to check.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}
