//! Rewrites modules so that regorus evaluates them as OPA does.
//!
//! OPA's compiler moves the operands of an expression into separate statements before it; regorus
//! does not. An example is `not data.roles[input.role].admin` without `input.role` in the input. In
//! OPA it is undefined, because the statement `x := input.role` before it is undefined. In regorus
//! it would be true. So this module moves operands into separate statements, in the text of each
//! policy module:
//!
//! 1. operands of a negated expression, as OPA does: calls, and references that are not the
//!    expression itself or a side of `==`;
//! 2. operands of an `in` that is not a whole statement: regorus returns false instead of
//!    undefined;
//! 3. operands in the head of a partial rule: regorus loses the rule's other values if one of them
//!    is undefined.
//!
//! Arithmetic becomes calls of functions that fail if regorus would compute another number than
//! OPA.
//!
//! An object that rules define member by member gets a default. If no rule has a value, the object
//! is empty in OPA, and mostly undefined in regorus.

mod expressions;
mod negations;
mod rules;
mod statements;
mod writer;

pub(super) use rules::rewritten;
pub(super) use writer::arithmetic;
