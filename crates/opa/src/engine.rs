//! What evaluates a policy: one small trait, and the prepared policy that it makes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::{PolicyBundle, PolicyInput};

/// A future behind a pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes a bundle ready for evaluation, off the path of requests.
pub trait PolicyEngine: fmt::Debug + Send + Sync + 'static {
    /// Compiles the zone's bundle, or sees to it that another program does.
    ///
    /// The future's error is [`PrepareError::Refused`] for a bundle that will never do, and
    /// [`PrepareError::Unavailable`] for what is worth another try.
    fn prepare(
        &self,
        zone: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>>;
}

/// A policy that is ready to be evaluated, on any thread.
pub trait PreparedPolicy: Send + Sync {
    /// The value of `data.caracal.authz.result` for this input. It must come to an end by itself.
    fn evaluate(&self, input: &PolicyInput) -> Evaluation;

    /// Whether the same input always has the same value: only then are decisions cached.
    fn is_deterministic(&self) -> bool {
        false
    }

    /// Whether whoever evaluates it has lost it, so that it must be prepared again.
    fn is_lost(&self) -> bool {
        false
    }
}

/// A value, now or later.
#[must_use]
pub enum Evaluation {
    /// It is here.
    Ready(Result<Value, EvaluationError>),
    /// It will be; nothing may block the thread meanwhile.
    Pending(BoxFuture<'static, Result<Value, EvaluationError>>),
}

impl fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(value) => f.debug_tuple("Ready").field(value).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// Why a bundle cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// It does not compile, or does what is not allowed: the same bundle is not tried again.
    #[error("refused: {0}")]
    Refused(String),
    /// The engine is away, or does not have it yet.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// Why an evaluation has no value: the request is then denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// `data.caracal.authz.result` is undefined for this input.
    #[error("the result is undefined")]
    Undefined,
    /// It took longer than it may.
    #[error("the evaluation exceeded its time limit")]
    TimeLimit,
    /// As many evaluations as may run at a time are running.
    #[error("too many evaluations are running")]
    Busy,
    /// The policy itself failed.
    #[error("the evaluation failed: {0}")]
    Failed(String),
    /// The engine is away, or answers what cannot be read.
    #[error("the engine did not answer: {0}")]
    Unreachable(String),
    /// The engine holds another version of the policy than the one that was loaded.
    #[error("the engine holds another version of the policy")]
    OtherVersion,
    /// The value is not what the decision contract says.
    #[error("the result breaks the decision contract: {0}")]
    Contract(&'static str),
}

impl EvaluationError {
    /// The cause as a label, such as `time_limit`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::TimeLimit => "time_limit",
            Self::Busy => "busy",
            Self::Failed(_) => "failed",
            Self::Unreachable(_) => "unreachable",
            Self::OtherVersion => "other_version",
            Self::Contract(_) => "contract",
        }
    }
}
