//! The state of the rewriting: the moved operands, and their names.

use std::collections::BTreeSet;

use regorus::unstable::{ArithOp, Expr};

use super::super::check::GENERATED_PREFIX;

/// Operands that were moved out of an expression, as statements.
pub(super) type Taken = Vec<String>;

pub(super) struct Writer<'a> {
    /// The names of rules, functions and imports in the module.
    pub(super) globals: &'a BTreeSet<String>,
    pub(super) count: usize,
}

impl Writer<'_> {
    pub(super) fn take(&mut self, text: String, taken: &mut Taken, with: &str) -> String {
        self.count += 1;
        let name = format!("{GENERATED_PREFIX}{}", self.count);
        taken.push(format!("{name} := {text}{with}"));
        name
    }

    /// Returns `true` for a local variable. It has a value wherever it is used.
    pub(super) fn is_local(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Var { span, .. } => {
                !matches!(span.text(), "input" | "data") && !self.globals.contains(span.text())
            }
            _ => false,
        }
    }
}

/// Returns the function that replaces an operator, which [`guard`](super::super::guards::guard)
/// defines.
pub(in super::super) const fn arithmetic(op: &ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "__operand_add",
        ArithOp::Sub => "__operand_sub",
        ArithOp::Mul => "__operand_mul",
        ArithOp::Div => "__operand_div",
        ArithOp::Mod => "__operand_mod",
    }
}

/// Returns the text of a reference without variables.
pub(super) fn path(expr: &Expr) -> String {
    expr.span().text().to_owned()
}

pub(super) fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::UnaryExpr { .. }
    )
}
