//! Rewrites modules so that regorus evaluates them as OPA does.
//!
//! OPA's compiler moves the operands of an expression into separate statements before it; regorus
//! does not. `not data.roles[input.role].admin` is undefined in OPA where
//! `input.role` is missing, since `x := input.role` before it is. With regorus it would be true.
//! So this module takes out the operands, in the text of each policy module,
//!
//! 1. of a negated expression, as OPA does: calls, and references that are not the expression
//!    itself or a side of `==`;
//! 2. of an `in` that is not a whole statement, which regorus lets be false instead of
//!    undefined;
//! 3. of the head of a partial rule, where regorus loses the rule's other values once one of them
//!    is undefined.
//!
//! Arithmetic becomes calls of functions that fail where regorus would compute another number.
//!
//! An object that rules make gets a default. Where no rule has a value, it is empty in OPA, and
//! mostly undefined in regorus.

mod expressions;
mod negations;
mod rules;
mod statements;
mod writer;

pub(super) use rules::rewritten;
pub(super) use writer::arithmetic;
