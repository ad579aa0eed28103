//! Evaluates Rego in this process. A policy is compiled once and evaluated on many threads without
//! a lock.

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
use crate::limits::{COMPILE_STACK, TIME_LIMIT};
use crate::{PolicyBundle, PolicyEngine, PrepareError, PreparedPolicy};

/// Evaluates Rego (v1) in this process with the interpreter of the crate regorus, and decides as an
/// OPA server does.
///
/// The tests compare both: OPA and this engine evaluate about 900 policies with seven inputs each.
/// regorus alone allows some requests that OPA denies, for example by
/// `not startswith(input.action.path, "/admin")` if the input has no path. So each module is first
/// rewritten as OPA's own compiler rewrites it. A bundle is prepared once for each thread that may
/// evaluate at a time, so that threads share no memory that they write to.
///
/// # Rejected bundles
///
/// A bundle is rejected, with file, line and reason, if it
///
/// 1. does not compile, or has no rule `data.caracal.authz.result`;
/// 2. calls a built-in that is not on this crate's list, also in a rule that no other rule uses.
///    The list has the built-ins that are harmless and give OPA's values. It does not have
///    `http.send`, `net.lookup_ip_addr`, `opa.runtime`, `rand.intn`, `uuid.rfc4122`, `time.now_ns`,
///    `json.marshal`, `regex.split`, `units.parse`, `walk` and `print`, among others (see
///    [`insecure_allow_builtin`](Self::insecure_allow_builtin));
/// 3. has a rule that uses itself, directly or through other rules, or nests more than 200 levels
///    deep;
/// 4. has data in the place of a rule;
/// 5. uses a construct that regorus evaluates differently from OPA: rules with one name and two
///    forms (`p[k] := 1` and `p.a := 2`), an object as a pattern, an object with several keys that
///    are not constant, a function without arguments, a call with its result as the last argument,
///    arithmetic with fractions, numbers with an exponent, the order (`<`) of sets, a variable in
///    `not` that no other expression binds, a variable that is used before it is declared, or a
///    name that begins with `__operand_`;
/// 6. has a Rego v0 module.
///
/// # Failed evaluations
///
/// An evaluation fails, and the request is denied, if OPA
///
/// 1. reports an error: two values for one rule, function or key, or, with `strict-builtin-errors`,
///    an argument of the wrong type for a built-in or an operator. Without that setting, an OPA
///    server continues with an undefined value;
/// 2. has an undefined value for `some … in` over a value that is not a collection, or has a value
///    for one key of a rule that has two values for another key;
/// 3. has another value for a built-in than regorus: `sprintf` with flags, with `%s` for a value
///    that is not a string, or with `%d` for a value that is not an integer; patterns that Go and
///    Rust interpret differently, or `\d`, `\w`, `\s` and `\b` on a text beyond ASCII; `lower` and
///    `upper` beyond ASCII; arithmetic, `sum` and `product` with fractions; the order of sets and
///    objects.
///
/// One known difference is not detected: in a set that holds an object and a set, regorus puts the
/// set first, and OPA the object.
///
/// # Limits
///
/// An evaluation ends at its time limit, which is checked between the steps of a policy. A single
/// call of some built-ins may take long (`sprintf`, `concat`, `replace`, `numbers.range`, …). A
/// policy that can reach one of them is evaluated on the runtime's blocking threads. The request
/// stops waiting at the limit, even if the call continues. The memory of an evaluation is not
/// bounded.
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
    /// Creates an engine with a time limit of 50 ms, for as many threads as the machine has CPUs.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let allowed = Arc::default();
        Self { settings: Settings { time_limit: TIME_LIMIT, threads, allowed } }
    }

    /// Sets the time limit of an evaluation.
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = limit;
        self
    }

    /// Sets the number of threads for which a bundle is prepared. Additional threads copy an engine
    /// for each evaluation, which is slower.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.max(1);
        self
    }

    /// Allows policies to call a built-in that is rejected by default, because it depends on the
    /// network, the clock or randomness, or is not known to give OPA's values. Decisions of a
    /// policy that calls it are not cached.
    ///
    /// `time.*` needs the crate's feature `time`. `http.send` does not exist in this engine.
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

/// The rule that is evaluated.
const RESULT: &str = "data.caracal.authz.result";

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
                    // The receiver is gone if preparing took too long.
                    let _ = done.send(compile::compile(&bundle, &settings));
                });
            if let Err(error) = compiling {
                return Err(PrepareError::Unavailable(error.to_string()));
            }
            // A compiler that panics drops the sender.
            let compiled = compiled.await.unwrap_or_else(|_| Err("the compiler panicked".into()));
            let policy = compiled.map_err(PrepareError::Rejected)?;
            Ok(Arc::new(policy) as Arc<dyn PreparedPolicy>)
        })
    }
}
