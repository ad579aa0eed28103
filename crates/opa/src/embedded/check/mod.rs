//! Rejects modules that regorus evaluates differently from OPA, or that OPA does not compile. Also
//! rejects modules that could run without an end or exhaust the stack.

mod heads;
mod modules;
mod names;
mod nesting;
mod variables;
mod walk;

pub(super) use modules::check;
pub(super) use variables::{GENERATED_PREFIX, collect_bound, variables};
