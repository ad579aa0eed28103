//! Visits every expression of a rule, and checks it.

use std::collections::BTreeSet;

use regorus::unstable::{
    AssignOp, BUILTINS, BoolOp, Expr, Literal, Query, Ref, Rule, RuleHead, Span,
};

use super::heads::{Checked, Head, Kind, constant_path, rejection};
use super::names::Names;
use super::variables::{collect_bound, collect_declared, variables};

/// The levels that a rule adds to the depth. It takes as much of the stack as this many
/// expressions.
const RULE: usize = 4;

pub(super) struct Walker<'a> {
    pub(super) names: &'a Names,
    pub(super) rules: &'a [Head],
    pub(super) builtins: &'a mut BTreeSet<String>,
    pub(super) uses: BTreeSet<Vec<String>>,
    /// The variables of the enclosing queries and of the function's arguments.
    pub(super) bound: Vec<BTreeSet<String>>,
    /// The names that occur in the enclosing queries.
    pub(super) mentioned: Vec<BTreeSet<String>>,
    pub(super) depth: usize,
    pub(super) deepest: usize,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        names: &'a Names,
        rules: &'a [Head],
        builtins: &'a mut BTreeSet<String>,
    ) -> Self {
        let (uses, bound, mentioned) = Default::default();
        Self { names, rules, builtins, uses, bound, mentioned, depth: 0, deepest: 0 }
    }

    pub(super) fn rule(&mut self, rule: &Rule) -> Checked {
        self.deeper(RULE, |walker| walker.head_and_bodies(rule))
    }

    fn head_and_bodies(&mut self, rule: &Rule) -> Checked {
        let (head, bodies) = match rule {
            Rule::Default { value, .. } => return self.expr(value),
            Rule::Spec { head, bodies, .. } => (head, bodies),
        };
        let mut exprs: Vec<&Ref<Expr>> = Vec::new();
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.head(refr)?;
                exprs.extend(assign.iter().map(|assign| &assign.value));
            }
            RuleHead::Set { refr, key, .. } => {
                self.head(refr)?;
                exprs.extend(key);
            }
            RuleHead::Func { args, assign, .. } => {
                let mut names = BTreeSet::new();
                for arg in args {
                    no_object_pattern(arg)?;
                    variables(arg, &mut names);
                }
                self.bound.push(names);
                exprs.extend(assign.iter().map(|assign| &assign.value));
            }
        }
        for expr in exprs {
            self.expr(expr)?;
        }
        for body in bodies {
            if let Some(assign) = &body.assign {
                self.expr(&assign.value)?;
            }
            self.query(&body.query)?;
        }
        Ok(())
    }

    fn head(&mut self, refr: &Expr) -> Checked {
        match refr {
            Expr::RefDot { refr, .. } => self.head(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.head(refr)?;
                self.expr(index)
            }
            _ => Ok(()),
        }
    }

    fn query(&mut self, query: &Query) -> Checked {
        let mut names = BTreeSet::new();
        query.stmts.iter().for_each(|statement| collect_bound(&statement.literal, &mut names));
        self.bound.push(names);
        self.mentioned.push(BTreeSet::new());
        let mut declared = BTreeSet::new();
        // A statement may be evaluated inside the ones before it.
        self.deeper(query.stmts.len(), |walker| {
            query.stmts.iter().try_for_each(|statement| {
                let mut new = BTreeSet::new();
                collect_declared(&statement.literal, &mut new);
                let mentioned = walker.mentioned.last();
                if let Some(name) = mentioned.and_then(|names| names.intersection(&new).next()) {
                    let message = format!("the variable {name} is used before it is declared");
                    return Err(rejection(&statement.span, &message));
                }
                declared.extend(new);
                for modifier in &statement.with_mods {
                    walker.expr(&modifier.r#as)?;
                }
                walker.literal(&statement.literal)
            })
        })?;
        self.bound.pop();
        let mentioned = self.mentioned.pop().unwrap_or_default();
        for statement in &query.stmts {
            if let Literal::SomeVars { vars, .. } = &statement.literal
                && let Some(var) = vars.iter().find(|var| !mentioned.contains(var.text()))
            {
                return Err(rejection(var, &format!("the variable {} is not used", var.text())));
            }
        }
        if let Some(outer) = self.mentioned.last_mut() {
            outer.extend(mentioned.difference(&declared).cloned());
        }
        Ok(())
    }

    fn literal(&mut self, literal: &Literal) -> Checked {
        match literal {
            Literal::SomeVars { .. } => Ok(()),
            Literal::SomeIn { key, value, collection, .. } => {
                for expr in key.iter().chain([value]) {
                    no_object_pattern(expr)?;
                }
                key.iter().chain([value, collection]).try_for_each(|expr| self.expr(expr))
            }
            Literal::Every { key, value, domain, query, .. } => {
                self.expr(domain)?;
                let names = key.iter().chain([value]).map(|name| name.text().to_owned());
                self.bound.push(names.collect());
                self.query(query)?;
                self.bound.pop();
                Ok(())
            }
            Literal::NotExpr { expr, .. } => {
                let mut names = BTreeSet::new();
                variables(expr, &mut names);
                for name in names {
                    let is_bound = self.bound.iter().any(|bound| bound.contains(&name));
                    let is_global =
                        self.names.rules.contains(&name) || self.names.imports.contains_key(&name);
                    if name == "_" || !(is_bound || is_global) {
                        let message = format!("the variable {name} of `not` is bound nowhere else");
                        return Err(rejection(expr.span(), &message));
                    }
                }
                self.statement(expr)
            }
            Literal::Expr { expr, .. } => self.statement(expr),
        }
    }

    fn statement(&mut self, expr: &Ref<Expr>) -> Checked {
        match &**expr {
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                no_object_pattern(lhs)?;
                if *op == AssignOp::Eq {
                    no_object_pattern(rhs)?;
                }
                self.expr(lhs)?;
                self.expr(rhs)
            }
            _ => self.expr(expr),
        }
    }

    fn expr(&mut self, expr: &Ref<Expr>) -> Checked {
        self.deeper(1, |walker| walker.parts(expr))
    }

    fn deeper(&mut self, levels: usize, then: impl FnOnce(&mut Self) -> Checked) -> Checked {
        self.depth += levels;
        self.deepest = self.deepest.max(self.depth);
        let checked = then(self);
        self.depth -= levels;
        checked
    }

    fn parts(&mut self, expr: &Ref<Expr>) -> Checked {
        match &**expr {
            Expr::Number { span, .. } if span.text().contains(['e', 'E']) => {
                Err(rejection(span, "a number with an exponent"))
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::UnaryExpr { .. } => Ok(()),
            Expr::Var { .. } => {
                self.uses(expr);
                Ok(())
            }
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.uses(expr);
                self.below_reference(expr)
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().try_for_each(|item| self.expr(item))
            }
            Expr::Object { fields, .. } => {
                keys_are_apart(expr, fields)?;
                for (_, key, value) in fields {
                    self.expr(key)?;
                    self.expr(value)?;
                }
                Ok(())
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.comprehension(&[term], query)
            }
            Expr::ObjectCompr { key, value, query, .. } => self.comprehension(&[key, value], query),
            Expr::Call { fcn, params, .. } => {
                self.call(fcn, params.len())?;
                params.iter().try_for_each(|param| self.expr(param))
            }
            Expr::BinExpr { lhs, rhs, .. } => {
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let is_set = |side: &Expr| matches!(side, Expr::Set { .. } | Expr::SetCompr { .. });
                if !matches!(op, BoolOp::Eq | BoolOp::Ne) && (is_set(lhs) || is_set(rhs)) {
                    return Err(rejection(expr.span(), "the order of a set and something else"));
                }
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::ArithExpr { lhs, rhs, .. } => {
                let is_fraction = |side: &Expr| match side {
                    Expr::Number { value, .. } => {
                        value.as_i64().is_err() && value.as_u64().is_err()
                    }
                    _ => false,
                };
                if is_fraction(lhs) || is_fraction(rhs) {
                    return Err(rejection(expr.span(), "arithmetic with a fraction"));
                }
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::AssignExpr { span, .. } => {
                Err(rejection(span, "an assignment that is no statement of its own"))
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).try_for_each(|expr| self.expr(expr))
            }
        }
    }

    /// Checks the index expressions of a reference, and its start unless that is a name.
    fn below_reference(&mut self, mut refr: &Ref<Expr>) -> Checked {
        loop {
            refr = match &**refr {
                Expr::Var { .. } => return Ok(()),
                Expr::RefDot { refr, .. } => refr,
                Expr::RefBrack { refr, index, .. } => {
                    self.expr(index)?;
                    refr
                }
                _ => return self.expr(refr),
            }
        }
    }

    fn comprehension(&mut self, head: &[&Ref<Expr>], query: &Query) -> Checked {
        for expr in head {
            self.expr(expr)?;
        }
        self.query(query)
    }

    fn uses(&mut self, refr: &Expr) {
        let (path, _) = constant_path(refr);
        self.uses.extend(self.names.resolve(&path));
        if let Some(mentioned) = self.mentioned.last_mut() {
            mentioned.extend(path.into_iter().next());
        }
    }

    fn call(&mut self, function: &Expr, arguments: usize) -> Checked {
        let (path, _) = constant_path(function);
        let name = path.join(".");
        let takes = if let Some(path) = self.names.resolve(&path) {
            self.uses.insert(path.clone());
            self.rules.iter().find(|rule| rule.path == path).and_then(|rule| match rule.kind {
                Kind::Function(arity) => Some(arity),
                _ => None,
            })
        } else {
            self.builtins.insert(name.clone());
            BUILTINS.get(name.as_str()).map(|builtin| usize::from(builtin.1))
        };
        match takes {
            None => Err(rejection(function.span(), &format!("the function {name} is not known"))),
            Some(takes) if takes != arguments => {
                let message = format!("{name} takes {takes} arguments, not {arguments}");
                Err(rejection(function.span(), &message))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Rejects objects in patterns: OPA matches the whole object, regorus only the named members.
fn no_object_pattern(pattern: &Expr) -> Checked {
    match pattern {
        Expr::Object { span, .. } => Err(rejection(span, "an object as a pattern")),
        Expr::Array { items, .. } => items.iter().try_for_each(|item| no_object_pattern(item)),
        _ => Ok(()),
    }
}

/// Rejects objects that may have two equal keys: OPA and regorus keep different ones.
fn keys_are_apart(expr: &Expr, fields: &[(Span, Ref<Expr>, Ref<Expr>)]) -> Checked {
    let mut seen = BTreeSet::new();
    for (_, key, _) in fields {
        let is_constant = matches!(
            **key,
            Expr::String { .. }
                | Expr::RawString { .. }
                | Expr::Number { .. }
                | Expr::Bool { .. }
                | Expr::Null { .. }
        );
        if fields.len() > 1 && (!is_constant || !seen.insert(key.span().text())) {
            let message = "an object with several keys that are not constant and different";
            return Err(rejection(expr.span(), message));
        }
    }
    Ok(())
}
