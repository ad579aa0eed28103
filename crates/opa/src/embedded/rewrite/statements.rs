//! Rewrites queries and the statements in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Query, WithModifier};

use super::super::check::{collect_bound, variables};
use super::writer::{Taken, Writer, path};

impl Writer<'_> {
    /// Writes the statements of a query in braces, followed by the operands of the head.
    pub(super) fn query(&mut self, query: &Query, of_head: Taken) -> String {
        format!("{{\n\t{}\n}}", self.inner(query, of_head))
    }

    /// Writes the statements of a query, followed by the operands of the head.
    pub(super) fn inner(&mut self, query: &Query, of_head: Taken) -> String {
        let mut bound = BTreeSet::new();
        query.stmts.iter().for_each(|statement| collect_bound(&statement.literal, &mut bound));
        let (in_place, last): (Vec<_>, Vec<_>) =
            query.stmts.iter().partition(|statement| !precedes_binding(statement, query, &bound));
        let statements = in_place.into_iter().chain(last);
        let statements = statements.map(|statement| self.statement(statement, &bound));
        let statements: Vec<_> = statements.collect();
        statements.into_iter().chain(of_head).collect::<Vec<_>>().join(";\n\t")
    }

    fn statement(&mut self, statement: &LiteralStmt, bound: &BTreeSet<String>) -> String {
        let mut taken = Taken::new();
        let with = self.modifiers(&statement.with_mods, &mut taken);
        let mut operands = Taken::new();
        let text = match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                let vars: Vec<_> = vars.iter().map(|var| var.text()).collect();
                format!("some {}", vars.join(", "))
            }
            Literal::SomeIn { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| self.text(key, &mut operands) + ", ");
                let value = self.text(value, &mut operands);
                let collection = self.text(collection, &mut operands);
                format!("some {}{value} in {collection}", key.unwrap_or_default())
            }
            Literal::Every { key, value, domain, query, .. } => {
                let key = key.as_ref().map(|key| format!("{}, ", key.text()));
                let domain = self.text(domain, &mut operands);
                let query = self.query(query, Taken::new());
                let domain = after(&domain, &query, bound);
                format!("every {}{} in {domain} {query}", key.unwrap_or_default(), value.text())
            }
            Literal::Expr { expr, .. } => self.top(expr, &mut operands),
            Literal::NotExpr { expr, .. } => {
                format!("not {}", self.negated(expr, &with, &mut operands))
            }
        };
        let is_negated = matches!(statement.literal, Literal::NotExpr { .. });
        for operand in operands {
            // Operands of a negated expression already have the modifiers.
            taken.push(if is_negated { operand } else { operand + &with });
        }
        taken.push(text + &with);
        taken.join(";\n\t")
    }

    fn modifiers(&mut self, modifiers: &[WithModifier], taken: &mut Taken) -> String {
        let mut text = String::new();
        for modifier in modifiers {
            let value = self.text(&modifier.r#as, taken);
            let _ = write!(text, " with {} as {value}", path(&modifier.refr));
        }
        text
    }

    /// Writes an expression that is a whole statement.
    fn top(&mut self, expr: &Expr, taken: &mut Taken) -> String {
        match expr {
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                let op = match op {
                    AssignOp::Eq => "=",
                    AssignOp::ColEq => ":=",
                };
                format!("{} {op} {}", self.text(lhs, taken), self.text(rhs, taken))
            }
            Expr::Membership { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| self.text(key, taken) + ", ");
                let value = self.text(value, taken);
                let collection = self.text(collection, taken);
                format!("{}{value} in {collection}", key.unwrap_or_default())
            }
            expr => self.text(expr, taken),
        }
    }
}

/// Returns `true` for a negation before the statement that binds one of its variables. regorus
/// would accept any value for the variable.
fn precedes_binding(statement: &LiteralStmt, query: &Query, bound: &BTreeSet<String>) -> bool {
    let Literal::NotExpr { expr, .. } = &statement.literal else { return false };
    let (mut names, mut before) = (BTreeSet::new(), BTreeSet::new());
    variables(expr, &mut names);
    let earlier = query.stmts.iter().take_while(|earlier| earlier.sidx != statement.sidx);
    earlier.for_each(|earlier| collect_bound(&earlier.literal, &mut before));
    names.iter().any(|name| bound.contains(name) && !before.contains(name))
}

/// Writes the domain of an `every` so that it uses the variables of the body. regorus does not
/// track those, and could evaluate the `every` before they have a value.
fn after(domain: &str, body: &str, bound: &BTreeSet<String>) -> String {
    let words = body.split(|c: char| !c.is_alphanumeric() && c != '_');
    let used: BTreeSet<_> = words.filter(|word| *word != "_" && bound.contains(*word)).collect();
    if used.is_empty() {
        return domain.to_owned();
    }
    let used: Vec<_> = used.into_iter().collect();
    format!("[{domain}, {}][0]", used.join(", "))
}
