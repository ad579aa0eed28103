//! Rego in this process: compiled once, evaluated on many threads without a lock.

mod builtins;
mod check;
mod compile;
mod evaluate;
mod guards;
mod rewrite;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::BoxFuture;
use crate::{PolicyBundle, PolicyEngine, PrepareError, PreparedPolicy};

/// Evaluates Rego (v1) in this process, with regorus.
///
/// A bundle is compiled on a thread of its own, once for each thread that may evaluate it at a
/// time, so that threads share nothing that they write to. It is refused when it
///
/// 1. does not compile, or has no rule `data.caracal.authz.result`;
/// 2. can reach a built-in that is not known to be harmless: `http.send`, `net.lookup_ip_addr`,
///    `opa.runtime`, `rand.intn`, `uuid.rfc4122`, `time.now_ns` and whatever this crate does not
///    know (see [`insecure_allow_builtin`](Self::insecure_allow_builtin));
/// 3. calls itself, also by way of other rules.
///
/// An evaluation ends at its time limit. The limit is looked at between the steps of a policy. A
/// policy that can reach a built-in whose single call may take long (`sprintf`, `concat`,
/// `replace`, `numbers.range`, …) is evaluated on the runtime's blocking threads, where a request
/// stops waiting at the limit even if the call goes on. The memory that a policy takes is not
/// bounded.
///
/// The compiler does not know `walk` and `print`; Rego v0 modules need `import rego.v1`.
///
/// ```
/// use caracal_revocation_opa::RegoEngine;
/// use std::time::Duration;
/// let engine = RegoEngine::new().with_time_limit(Duration::from_millis(20));
/// # drop(engine);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RegoEngine {
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    time_limit: Duration,
    threads: usize,
    allowed: Arc<BTreeSet<String>>,
}

impl RegoEngine {
    /// An engine with a time limit of 50 ms, for as many threads as the machine runs at a time.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let allowed = Arc::default();
        Self { settings: Settings { time_limit: Duration::from_millis(50), threads, allowed } }
    }

    /// How long an evaluation may take.
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = limit;
        self
    }

    /// For how many threads a bundle is compiled; more than that share, at some cost.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.max(1);
        self
    }

    /// Lets policies call this built-in, although it reaches the network, the clock or chance, or
    /// is not known. Decisions are then not cached.
    ///
    /// `time.*` is there only with the crate's feature `time`; `http.send` never is.
    pub fn insecure_allow_builtin(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.settings.allowed).insert(name.to_owned());
        self
    }
}

impl Default for RegoEngine {
    fn default() -> Self {
        Self::new()
    }
}

/// What is evaluated.
const RESULT: &str = "data.caracal.authz.result";

/// Compiling recurses as deep as the policy nests.
const COMPILE_STACK: usize = 64 * 1024 * 1024;

impl PolicyEngine for RegoEngine {
    fn prepare(
        &self,
        _: &str,
        bundle: Arc<PolicyBundle>,
    ) -> BoxFuture<'static, Result<Arc<dyn PreparedPolicy>, PrepareError>> {
        let settings = self.settings.clone();
        Box::pin(async move {
            let (done, compiled) = tokio::sync::oneshot::channel();
            let compiling = std::thread::Builder::new()
                .name("policy-compile".to_owned())
                .stack_size(COMPILE_STACK)
                .spawn(move || {
                    // Nobody waits any more if it took too long.
                    let _ = done.send(compile::compile(&bundle, &settings));
                });
            if let Err(error) = compiling {
                return Err(PrepareError::Unavailable(error.to_string()));
            }
            // A compiler that panics drops its end.
            let compiled = compiled.await.unwrap_or_else(|_| Err("the compiler panicked".into()));
            let policy = compiled.map_err(PrepareError::Refused)?;
            Ok(Arc::new(policy) as Arc<dyn PreparedPolicy>)
        })
    }
}
