//! The engine that evaluates policies, and the policies that it has prepared.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::{PolicyBundle, PolicyInput};

/// A boxed future, for traits that are used as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Prepares bundles for evaluation, outside of requests.
pub trait PolicyEngine: fmt::Debug + Send + Sync + 'static {
    /// Compiles the zone's bundle, or sends it to another program.
    ///
    /// The future's error is [`PrepareError::Rejected`] for a bundle that can never be prepared,
    /// and [`PrepareError::Unavailable`] for a failure that is worth a retry.
    fn prepare(
        &self,
        zone: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>>;
}

/// A policy that is ready to be evaluated, on any thread.
pub trait PreparedPolicy: Send + Sync {
    /// Returns the value of `data.caracal.authz.result` for this input. The evaluation must end by
    /// itself.
    fn evaluate(&self, input: &PolicyInput) -> Evaluation;

    /// Returns `true` if the same input always has the same value. Only then are decisions cached.
    fn is_deterministic(&self) -> bool {
        false
    }

    /// Returns `true` if the engine has lost the policy, so that it must be prepared again.
    fn is_lost(&self) -> bool {
        false
    }
}

/// The result of an evaluation: a value, or a future of it.
#[must_use]
pub enum Evaluation {
    /// The value.
    Ready(Result<Value, EvaluationError>),
    /// A future of the value. It must not block the thread.
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

/// The reason why a bundle cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The bundle does not compile, or uses something that is not allowed. The same bundle is not
    /// tried again.
    #[error("the bundle was rejected: {0}")]
    Rejected(String),
    /// The engine is unavailable, or does not have the bundle yet.
    #[error("the engine is unavailable: {0}")]
    Unavailable(String),
}

/// The reason why an evaluation gives no decision. The request is then denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// `data.caracal.authz.result` is undefined for this input.
    #[error("the result is undefined")]
    Undefined,
    /// The evaluation exceeded its time limit.
    #[error("the evaluation exceeded its time limit")]
    TimeLimit,
    /// The maximum number of evaluations is running.
    #[error("too many evaluations are running")]
    Busy,
    /// The policy itself failed.
    #[error("the evaluation failed: {0}")]
    Failed(String),
    /// The engine is unavailable, or its response cannot be read.
    #[error("the engine gave no usable response: {0}")]
    Unreachable(String),
    /// The engine has another version of the policy than the loaded one.
    #[error("the engine has another version of the policy")]
    OtherVersion,
    /// The value breaks the decision contract.
    #[error("the result breaks the decision contract: {0}")]
    Contract(&'static str),
}

impl EvaluationError {
    /// Returns the cause as a label, such as `time_limit`.
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
