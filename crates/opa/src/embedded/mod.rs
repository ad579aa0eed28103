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
use crate::limits::{COMPILE_STACK, TIME_LIMIT};
use crate::{PolicyBundle, PolicyEngine, PrepareError, PreparedPolicy};

/// Evaluates Rego (v1) in this process, with regorus' interpreter, and decides as OPA does.
///
/// OPA is the measure: some 900 policies are evaluated by both in the tests, with seven inputs each.
/// Each module is rewritten first as OPA's own compiler does it, since regorus by itself allows
/// requests that OPA denies: for example `not startswith(input.action.path, "/admin")` where the
/// input has no path. A bundle is prepared once for each thread that may evaluate it at a time, so
/// that threads share nothing that they write to.
///
/// A bundle is refused, with file, line and reason, when it
///
/// 1. does not compile, or has no rule `data.caracal.authz.result`;
/// 2. calls a built-in, also in a rule that nothing reaches, that is not known to be harmless and to
///    give OPA's values: `http.send`, `net.lookup_ip_addr`, `opa.runtime`, `rand.intn`,
///    `uuid.rfc4122`, `time.now_ns`, `json.marshal`, `regex.split`, `units.parse`, `walk`, `print` and
///    whatever else this crate does not know (see [`insecure_allow_builtin`](Self::insecure_allow_builtin));
/// 3. has a rule that uses itself, also by way of others, or nests more than 200 levels deep;
/// 4. has data in the place of a rule;
/// 5. uses what regorus evaluates otherwise than OPA: rules of one name and of two forms (`p[k] := 1`
///    beside `p.a := 2`), an object as a pattern, an object with several keys that are not constant,
///    a function without arguments, a call with its result as a last argument, arithmetic with
///    fractions, numbers with an exponent, the order (`<`) of sets, a variable of `not` that nothing
///    binds, a variable that is used before it is declared, or names that begin with `__operand_`.
///
/// An evaluation fails, and the request is denied, where OPA
///
/// 1. has an error: two values for one rule, function or key, or, with `strict-builtin-errors`, a
///    built-in or an operator whose arguments are not of its types. Without that setting, an OPA
///    server goes on with an undefined value there;
/// 2. has an undefined value for `some … in` over something that is no collection, or a value for one
///    key of a rule that has two values for another;
/// 3. has a value for a built-in where regorus has another: `sprintf` with flags, with `%s` of
///    something that is no string or with `%d` of something that is no integer; patterns that Go
///    and Rust read otherwise, or their `\d`, `\w`, `\s` and `\b` on a text beyond ASCII; `lower` and
///    `upper` beyond ASCII; arithmetic, `sum` and `product` with fractions; the order of sets and objects.
///
/// One thing is known to differ and cannot be seen when a bundle is loaded: of an object and a set in
/// one set, the set comes first.
///
/// An evaluation ends at its time limit. The limit is looked at between the steps of a policy. A
/// policy that can reach a built-in whose single call may take long (`sprintf`, `concat`,
/// `replace`, `numbers.range`, …) is evaluated on the runtime's blocking threads, where a request
/// stops waiting at the limit even if the call goes on. The memory that a policy takes is not
/// bounded.
///
/// Rego v0 modules are refused.
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
        Self { settings: Settings { time_limit: TIME_LIMIT, threads, allowed } }
    }

    /// How long an evaluation may take.
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = limit;
        self
    }

    /// For how many threads a bundle is prepared; more than that share, at some cost.
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
            let policy = compiled.map_err(PrepareError::Rejected)?;
            Ok(Arc::new(policy) as Arc<dyn PreparedPolicy>)
        })
    }
}
