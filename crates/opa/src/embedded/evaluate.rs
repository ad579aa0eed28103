//! A compiled policy, and the machines that evaluate it: one for each thread at a time.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use regorus::Value;
use regorus::rvm::vm::{ExecutionMode, VmError};
use regorus::rvm::{Program, RegoVM};
use regorus::utils::limits::ExecutionTimerConfig;
use tokio::sync::Semaphore;

use super::values::{to_json, to_rego};
use crate::{Evaluation, EvaluationError, PolicyInput, PreparedPolicy};

/// How many steps pass between two looks at the time: some ten microseconds' worth.
const STEPS: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

/// What a machine is made from.
pub(super) struct Template {
    pub(super) program: Arc<Program>,
    pub(super) data: Value,
}

/// How a policy is to be evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) time_limit: Duration,
    /// On a blocking thread, since one step may take long.
    pub(super) beside: bool,
    /// With the calls kept apart from the thread's stack.
    pub(super) stackless: bool,
    pub(super) deterministic: bool,
}

pub(super) struct RegoPolicy(Arc<Machines>);

struct Machines {
    /// A place for each machine. A thread begins to look at a place of its own, so that it mostly
    /// has the machine that is still in its core's cache.
    places: Box<[ArrayQueue<RegoVM>]>,
    /// For more threads than there are machines.
    spare: Template,
    manner: Manner,
    /// How many evaluations may run beside the requests.
    beside: Arc<Semaphore>,
}

impl RegoPolicy {
    pub(super) fn new(templates: Vec<Template>, manner: Manner) -> Result<Self, String> {
        let threads = templates.len();
        let (mut places, mut spare) = (Vec::with_capacity(threads), None);
        for template in templates {
            let place = ArrayQueue::new(1);
            // The place is new, and so has room.
            let _ = place.push(machine(&template, manner)?);
            places.push(place);
            spare = Some(template);
        }
        let places = places.into();
        let spare = spare.ok_or("there is nothing to evaluate")?;
        let beside = Arc::new(Semaphore::new(threads));
        Ok(Self(Arc::new(Machines { places, spare, manner, beside })))
    }
}

impl PreparedPolicy for RegoPolicy {
    fn evaluate(&self, input: &PolicyInput) -> Evaluation {
        let input = match to_rego(input.as_value()) {
            Ok(input) => input,
            Err(words) => return Evaluation::Ready(Err(EvaluationError::Failed(words))),
        };
        if !self.0.manner.beside {
            return Evaluation::Ready(self.0.evaluate(input));
        }
        let machines = Arc::clone(&self.0);
        Evaluation::Pending(Box::pin(async move {
            let limit = machines.manner.time_limit;
            tokio::time::timeout(limit, machines.evaluate_beside(input))
                .await
                .unwrap_or(Err(EvaluationError::TimeLimit))
        }))
    }

    fn is_deterministic(&self) -> bool {
        self.0.manner.deterministic
    }
}

impl Machines {
    async fn evaluate_beside(
        self: &Arc<Self>,
        input: Value,
    ) -> Result<serde_json::Value, EvaluationError> {
        // An evaluation that goes on after its limit keeps its place until it ends.
        let place = Arc::clone(&self.beside).acquire_owned().await;
        let place = place.map_err(|_| EvaluationError::Busy)?;
        let machines = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || {
            let result = machines.evaluate(input);
            drop(place);
            result
        });
        result.await.unwrap_or_else(|error| Err(EvaluationError::Failed(error.to_string())))
    }

    fn evaluate(&self, input: Value) -> Result<serde_json::Value, EvaluationError> {
        let mut machine = match self.nearest().find_map(ArrayQueue::pop) {
            Some(machine) => machine,
            None => machine(&self.spare, self.manner).map_err(EvaluationError::Failed)?,
        };
        // A machine that panicked is not used again.
        let result = catch_unwind(AssertUnwindSafe(|| {
            machine.set_input(input);
            let result = machine.execute_entry_point_by_index(0);
            machine.set_input(Value::Undefined);
            (machine, result)
        }));
        let (machine, result) =
            result.map_err(|_| EvaluationError::Failed("the evaluator panicked".to_owned()))?;
        // Into the nearest place with room; there is none if others were made in between.
        let _ = self.nearest().try_fold(machine, |machine, place| match place.push(machine) {
            Ok(()) => Err(()),
            Err(machine) => Ok(machine),
        });
        match result {
            Ok(Value::Undefined) => Err(EvaluationError::Undefined),
            Ok(value) => to_json(&value).map_err(EvaluationError::Failed),
            Err(VmError::TimeLimitExceeded { .. }) => Err(EvaluationError::TimeLimit),
            Err(error) => {
                Err(EvaluationError::Failed(error.to_string().chars().take(200).collect()))
            }
        }
    }
}

impl Machines {
    fn nearest(&self) -> impl Iterator<Item = &ArrayQueue<RegoVM>> {
        let own = THREAD.with(|number| *number) % self.places.len().max(1);
        self.places.iter().skip(own).chain(self.places.iter().take(own))
    }
}

/// How many threads have evaluated so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

fn machine(template: &Template, manner: Manner) -> Result<RegoVM, String> {
    let mut machine = RegoVM::new();
    machine.set_execution_mode(if manner.stackless {
        ExecutionMode::Suspendable
    } else {
        ExecutionMode::RunToCompletion
    });
    machine.load_program(Arc::clone(&template.program));
    machine.set_data(template.data.clone()).map_err(|error| error.to_string())?;
    // The clock bounds it, not the number of steps.
    machine.set_max_instructions(usize::MAX);
    machine.set_execution_timer_config(Some(ExecutionTimerConfig {
        limit: manner.time_limit,
        check_interval: STEPS,
    }));
    Ok(machine)
}
