//! The variables of expressions and statements.

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Literal, Ref};

/// The prefix of the names that the rewriting creates. No module may use it.
pub(in super::super) const GENERATED_PREFIX: &str = "__operand_";

/// Collects the variables that a statement declares.
pub(super) fn collect_declared(literal: &Literal, names: &mut BTreeSet<String>) {
    match literal {
        Literal::SomeVars { vars, .. } => {
            names.extend(vars.iter().map(|var| var.text().to_owned()));
        }
        Literal::SomeIn { key, value, .. } => {
            key.iter().chain([value]).for_each(|expr| variables(expr, names));
        }
        Literal::Expr { expr, .. } => {
            if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = &**expr {
                variables(lhs, names);
            }
        }
        _ => {}
    }
    names.remove("_");
}

/// Collects the variables that a statement can bind.
pub(in super::super) fn collect_bound(literal: &Literal, names: &mut BTreeSet<String>) {
    match literal {
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().chain([value, collection]).for_each(|expr| variables(expr, names));
        }
        Literal::Expr { expr, .. } => variables(expr, names),
        _ => {}
    }
}

/// Collects the variables of an expression, without those of nested queries.
pub(in super::super) fn variables(expr: &Expr, names: &mut BTreeSet<String>) {
    let mut all = |exprs: &[&Ref<Expr>]| exprs.iter().for_each(|expr| variables(expr, names));
    match expr {
        Expr::Var { span, .. } if matches!(span.text(), "input" | "data") => {}
        Expr::Var { span, .. } => drop(names.insert(span.text().to_owned())),
        Expr::RefDot { refr, .. } => all(&[refr]),
        Expr::RefBrack { refr, index, .. } => all(&[refr, index]),
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            all(&items.iter().collect::<Vec<_>>());
        }
        Expr::Object { fields, .. } => {
            fields.iter().for_each(|(_, key, value)| all(&[key, value]));
        }
        Expr::Call { params, .. } => all(&params.iter().collect::<Vec<_>>()),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => all(&[lhs, rhs]),
        Expr::Membership { key, value, collection, .. } => {
            all(&key.iter().chain([value, collection]).collect::<Vec<_>>());
        }
        _ => {}
    }
}
