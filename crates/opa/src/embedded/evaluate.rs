//! A compiled policy, and the engines that evaluate it: one for each thread at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};
use tokio::sync::Semaphore;

use super::RESULT;
use super::values::{to_json, to_rego};
use crate::limits::{MAX_ERROR_TEXT, STEPS_BETWEEN_CHECKS};
use crate::{Evaluation, EvaluationError, PolicyInput, PreparedPolicy};

/// The way to evaluate a policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct EvaluationMode {
    pub(super) time_limit: Duration,
    /// `true` for an evaluation on a blocking thread, because one step may take long.
    pub(super) blocking: bool,
    pub(super) deterministic: bool,
}

pub(super) struct RegoPolicy(Arc<Engines>);

struct Engines {
    /// One place for each thread. Each thread begins its search at a different place, so that it
    /// mostly finds its last engine, which is still in its core's cache.
    places: Box<[Place]>,
    mode: EvaluationMode,
    /// Limits the number of evaluations on blocking threads.
    blocking: Arc<Semaphore>,
}

struct Place {
    engine: ArrayQueue<Engine>,
    /// The engine to clone while `engine` is in use. Clones share the policy and the data.
    template: Engine,
}

impl RegoPolicy {
    /// Takes a prepared engine for each thread. The engines share nothing, since shared reference
    /// counts would slow the threads down.
    pub(super) fn new(engines: Vec<Engine>, mode: EvaluationMode) -> Self {
        let blocking = Arc::new(Semaphore::new(engines.len()));
        let places = engines.into_iter().map(|mut template| {
            template.set_execution_timer_config(ExecutionTimerConfig {
                limit: mode.time_limit,
                check_interval: STEPS_BETWEEN_CHECKS,
            });
            Place { engine: ArrayQueue::new(1), template }
        });
        Self(Arc::new(Engines { places: places.collect(), mode, blocking }))
    }
}

impl PreparedPolicy for RegoPolicy {
    fn evaluate(&self, input: &PolicyInput) -> Evaluation {
        let input = match to_rego(input.as_value()) {
            Ok(input) => input,
            Err(error) => return Evaluation::Ready(Err(EvaluationError::Failed(error))),
        };
        if !self.0.mode.blocking {
            return Evaluation::Ready(self.0.evaluate(input));
        }
        let engines = Arc::clone(&self.0);
        Evaluation::Pending(Box::pin(async move {
            let limit = engines.mode.time_limit;
            tokio::time::timeout(limit, engines.evaluate_blocking(input))
                .await
                .unwrap_or(Err(EvaluationError::TimeLimit))
        }))
    }

    fn is_deterministic(&self) -> bool {
        self.0.mode.deterministic
    }
}

impl Engines {
    async fn evaluate_blocking(
        self: &Arc<Self>,
        input: Value,
    ) -> Result<serde_json::Value, EvaluationError> {
        // An evaluation that continues after its limit keeps its permit until it ends.
        let permit = Arc::clone(&self.blocking).acquire_owned().await;
        let permit = permit.map_err(|_| EvaluationError::Busy)?;
        let engines = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || {
            let result = engines.evaluate(input);
            drop(permit);
            result
        });
        result.await.unwrap_or_else(|error| Err(EvaluationError::Failed(error.to_string())))
    }

    fn evaluate(&self, input: Value) -> Result<serde_json::Value, EvaluationError> {
        let own = THREAD.with(|number| *number) % self.places.len().max(1);
        let nearest = || self.places.iter().skip(own).chain(self.places.iter().take(own));
        let taken = nearest().find_map(|place| Some((place.engine.pop()?, place)));
        let taken = taken.or_else(|| nearest().next().map(|place| (place.template.clone(), place)));
        let Some((mut engine, place)) = taken else {
            return Err(EvaluationError::Busy);
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.set_input(input);
            let result = engine.eval_rule(RESULT.to_owned());
            engine.set_input(Value::Undefined);
            result
        }));
        match result {
            Ok(Ok(value)) => {
                // The place may be occupied if this engine is a clone.
                let _ = place.engine.push(engine);
                match value {
                    Value::Undefined => Err(EvaluationError::Undefined),
                    value => to_json(&value).map_err(EvaluationError::Failed),
                }
            }
            // An engine that failed or panicked may keep state of the evaluation, such as values of
            // loops. It is not used again.
            Ok(Err(error)) => Err(match error.downcast_ref::<LimitError>() {
                Some(LimitError::TimeLimitExceeded { .. }) => EvaluationError::TimeLimit,
                _ => EvaluationError::Failed(last_line(&error)),
            }),
            Err(_) => Err(EvaluationError::Failed("the evaluator panicked".to_owned())),
        }
    }
}

/// Returns the last line of an error. In the lines before it, regorus quotes the policy.
pub(super) fn last_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().take(MAX_ERROR_TEXT).collect()
}

/// The number of threads that have evaluated a policy so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}
