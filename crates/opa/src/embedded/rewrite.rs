//! Rewrites modules so that regorus evaluates them as OPA does.
//!
//! OPA's compiler takes the operands of an expression out of it, into statements of their own
//! before it; regorus does not. `not data.roles[input.role].admin` is undefined in OPA where
//! `input.role` is missing, since `x := input.role` before it is. With regorus it would be true.
//! So the operands are taken out here, in the text of each module,
//!
//! 1. of a negated expression, as OPA does: calls, and references that are not the expression
//!    itself or a side of `==`;
//! 2. of an `in` that is not a statement of its own, which regorus lets be false instead of
//!    undefined;
//! 3. of the head of a partial rule, where regorus loses the rule's other values once one of them
//!    is undefined.
//!
//! Arithmetic becomes calls of functions that fail where regorus would compute another number.
//!
//! An object that rules make is empty in OPA where none of them has a value, and mostly undefined in
//! regorus: it gets a default.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use regorus::unstable::{
    ArithOp, AssignOp, BinOp, BoolOp, Expr, Literal, LiteralStmt, Module, Query, Ref, Rule,
    RuleAssign, RuleHead, WithModifier,
};

use super::check::{MADE_UP, binds, variables};

/// The module's text. `globals` are the names that stand for rules, functions and imports in it,
/// `objects` those that its rules make.
pub(super) fn rewritten(
    module: &Module,
    globals: &BTreeSet<String>,
    objects: &BTreeSet<String>,
) -> String {
    let mut writer = Writer { globals, count: 0 };
    let mut text = format!("package {}\n\n", path(&module.package.refr));
    for import in &module.imports {
        let path = path(&import.refr);
        if path != "rego.v1" && !path.starts_with("future.") {
            let _ = write!(text, "import {path}");
            if let Some(alias) = &import.r#as {
                let _ = write!(text, " as {}", alias.text());
            }
            text.push('\n');
        }
    }
    for object in objects {
        let _ = write!(text, "\ndefault {object} := {{}}\n");
    }
    for rule in &module.policy {
        text.push('\n');
        text.push_str(&writer.rule(rule));
        text.push('\n');
    }
    text
}

/// The function that computes instead of an operator: [`guard`](super::guards::guard) puts it there.
pub(super) const fn arithmetic(op: &ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "__operand_add",
        ArithOp::Sub => "__operand_sub",
        ArithOp::Mul => "__operand_mul",
        ArithOp::Div => "__operand_div",
        ArithOp::Mod => "__operand_mod",
    }
}

/// A reference without variables.
fn path(expr: &Expr) -> String {
    expr.span().text().to_owned()
}

/// Operands that were taken out, as statements.
type Taken = Vec<String>;

struct Writer<'a> {
    globals: &'a BTreeSet<String>,
    count: usize,
}

impl Writer<'_> {
    fn rule(&mut self, rule: &Rule) -> String {
        let (head, bodies) = match rule {
            Rule::Default { refr, args, value, .. } => {
                let mut taken = Taken::new();
                let head = format!("default {}{}", path(refr), self.arguments(args));
                return format!("{head} := {}", self.text(value, &mut taken));
            }
            Rule::Spec { head, bodies, .. } => (head, bodies),
        };
        let mut taken = Taken::new();
        let mut text = match head {
            RuleHead::Set { refr, key, .. } => {
                let refr = self.head(refr, &mut taken);
                let key = key.as_ref().map(|key| self.head_operand(key, &mut taken));
                format!("{refr} contains {}", key.unwrap_or_default())
            }
            RuleHead::Func { refr, args, assign, .. } => {
                let head = format!("{}{}", path(refr), self.arguments(args));
                head + &self.assigned(assign.as_ref(), false, &mut taken)
            }
            RuleHead::Compr { refr, assign, .. } => {
                let is_partial = matches!(**refr, Expr::RefBrack { .. } | Expr::RefDot { .. });
                let refr = self.head(refr, &mut taken);
                refr + &self.assigned(assign.as_ref(), is_partial, &mut taken)
            }
        };
        if bodies.is_empty() && !taken.is_empty() {
            let _ = write!(text, " if {{ {} }}", taken.join("; "));
        }
        for body in bodies {
            let mut of_body = std::mem::take(&mut taken);
            if body.is_else {
                text.push_str(" else");
                text.push_str(&self.assigned(body.assign.as_ref(), false, &mut of_body));
            }
            let _ = write!(text, " if {}", self.query(&body.query, of_body));
        }
        text
    }

    fn arguments(&mut self, args: &[Ref<Expr>]) -> String {
        if args.is_empty() {
            return String::new();
        }
        // Patterns: nothing is taken out of them.
        let args: Vec<_> = args.iter().map(|arg| self.text(arg, &mut Taken::new())).collect();
        format!("({})", args.join(", "))
    }

    fn assigned(
        &mut self,
        assign: Option<&RuleAssign>,
        is_partial: bool,
        taken: &mut Taken,
    ) -> String {
        let Some(assign) = assign else { return String::new() };
        let value = if is_partial {
            self.head_operand(&assign.value, taken)
        } else {
            self.text(&assign.value, taken)
        };
        format!(" := {value}")
    }

    /// A head's reference, with the variables in it.
    fn head(&mut self, refr: &Expr, taken: &mut Taken) -> String {
        match refr {
            Expr::RefDot { refr, field, .. } => {
                format!("{}.{}", self.head(refr, taken), field.0.text())
            }
            Expr::RefBrack { refr, index, .. } => {
                let refr = self.head(refr, taken);
                format!("{refr}[{}]", self.head_operand(index, taken))
            }
            other => other.span().text().to_owned(),
        }
    }

    fn head_operand(&mut self, expr: &Expr, taken: &mut Taken) -> String {
        let text = self.text(expr, taken);
        if is_literal(expr) || self.is_local(expr) { text } else { self.take(text, taken, "") }
    }

    /// The statements of a query in braces, with the operands of its head.
    fn query(&mut self, query: &Query, of_head: Taken) -> String {
        format!("{{\n\t{}\n}}", self.inner(query, of_head))
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
            // Those of a negated expression have theirs already.
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

    /// An expression that is a statement of its own.
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

    fn negated(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        match expr {
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                let lhs = self.side(lhs, with, taken);
                format!("{lhs} == {}", self.side(rhs, with, taken))
            }
            Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::Membership { .. }
            | Expr::Call { .. } => self
                .parts(expr, taken, &mut |writer, part, taken| writer.operand(part, with, taken)),
            expr => self.side(expr, with, taken),
        }
    }

    /// The negated expression itself, or a side of its `==`: a reference stays.
    fn side(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        match expr {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr, with, taken),
            Expr::Var { .. } => self.text(expr, taken),
            expr => self.operand(expr, with, taken),
        }
    }

    fn reference(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        match expr {
            Expr::RefDot { refr, field, .. } => {
                format!("{}.{}", self.reference(refr, with, taken), field.0.text())
            }
            Expr::RefBrack { refr, index, .. } => {
                let refr = self.reference(refr, with, taken);
                format!("{refr}[{}]", self.operand(index, with, taken))
            }
            Expr::Var { .. } => self.text(expr, taken),
            expr => self.operand(expr, with, taken),
        }
    }

    /// An operand of a negated expression: taken out unless it is always defined.
    fn operand(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        let mut inner =
            |writer: &mut Self, part: &Expr, taken: &mut Taken| writer.operand(part, with, taken);
        match expr {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let text = self.reference(expr, with, taken);
                self.take(text, taken, with)
            }
            Expr::Var { .. } if self.is_local(expr) => self.text(expr, taken),
            Expr::Var { .. } => {
                let text = self.text(expr, taken);
                self.take(text, taken, with)
            }
            Expr::Call { .. }
            | Expr::ArithExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::Membership { .. } => {
                let text = self.parts(expr, taken, &mut inner);
                self.take(text, taken, with)
            }
            expr => self.parts(expr, taken, &mut inner),
        }
    }

    /// An expression inside another.
    fn text(&mut self, expr: &Expr, taken: &mut Taken) -> String {
        if matches!(expr, Expr::Membership { .. }) {
            // Undefined where an operand is.
            return self.parts(expr, taken, &mut |writer, part, taken| {
                let text = writer.text(part, taken);
                if is_literal(part) || writer.is_local(part) {
                    text
                } else {
                    writer.take(text, taken, "")
                }
            });
        }
        self.parts(expr, taken, &mut |writer, part, taken| writer.text(part, taken))
    }

    /// An expression whose parts are written by `part`.
    fn parts(
        &mut self,
        expr: &Expr,
        taken: &mut Taken,
        part: &mut dyn FnMut(&mut Self, &Expr, &mut Taken) -> String,
    ) -> String {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::UnaryExpr { .. } => literal(expr),
            Expr::Var { span, .. } => span.text().to_owned(),
            Expr::Array { items, .. } => {
                let items: Vec<_> = items.iter().map(|item| part(self, item, taken)).collect();
                format!("[{}]", items.join(", "))
            }
            Expr::Set { items, .. } if items.is_empty() => "set()".to_owned(),
            Expr::Set { items, .. } => {
                let items: Vec<_> = items.iter().map(|item| part(self, item, taken)).collect();
                format!("{{{}}}", items.join(", "))
            }
            Expr::Object { fields, .. } => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(_, key, value)| {
                        format!("{}: {}", part(self, key, taken), part(self, value, taken))
                    })
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
            Expr::ArrayCompr { term, query, .. } => {
                let mut of_head = Taken::new();
                let term = self.text(term, &mut of_head);
                format!("[{term} | {}]", self.inner(query, of_head))
            }
            Expr::SetCompr { term, query, .. } => {
                let mut of_head = Taken::new();
                let term = self.text(term, &mut of_head);
                format!("{{{term} | {}}}", self.inner(query, of_head))
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                let mut of_head = Taken::new();
                let key = self.text(key, &mut of_head);
                let value = self.text(value, &mut of_head);
                format!("{{{key}: {value} | {}}}", self.inner(query, of_head))
            }
            Expr::Call { fcn, params, .. } => {
                let params: Vec<_> = params.iter().map(|param| part(self, param, taken)).collect();
                format!("{}({})", path(fcn), params.join(", "))
            }
            Expr::RefDot { refr, field, .. } => {
                format!("{}.{}", self.text(refr, taken), field.0.text())
            }
            Expr::RefBrack { refr, index, .. } => {
                let refr = self.text(refr, taken);
                format!("{refr}[{}]", self.text(index, taken))
            }
            Expr::BinExpr { op, lhs, rhs, .. } => {
                let op = match op {
                    BinOp::Intersection => "&",
                    BinOp::Union => "|",
                };
                format!("({} {op} {})", part(self, lhs, taken), part(self, rhs, taken))
            }
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let op = match op {
                    BoolOp::Lt => "<",
                    BoolOp::Le => "<=",
                    BoolOp::Eq => "==",
                    BoolOp::Ge => ">=",
                    BoolOp::Gt => ">",
                    BoolOp::Ne => "!=",
                };
                format!("({} {op} {})", part(self, lhs, taken), part(self, rhs, taken))
            }
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                let name = arithmetic(op);
                format!("{name}({}, {})", part(self, lhs, taken), part(self, rhs, taken))
            }
            // Refused where it is no statement.
            Expr::AssignExpr { span, .. } => span.text().to_owned(),
            Expr::Membership { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| part(self, key, taken) + ", ");
                let value = part(self, value, taken);
                let collection = part(self, collection, taken);
                format!("({}{value} in {collection})", key.unwrap_or_default())
            }
        }
    }

    /// The statements of a query, with the operands of its head.
    fn inner(&mut self, query: &Query, of_head: Taken) -> String {
        let mut bound = BTreeSet::new();
        query.stmts.iter().for_each(|statement| binds(&statement.literal, &mut bound));
        let (in_place, last): (Vec<_>, Vec<_>) =
            query.stmts.iter().partition(|statement| !is_early(statement, query, &bound));
        let statements = in_place.into_iter().chain(last);
        let statements = statements.map(|statement| self.statement(statement, &bound));
        let statements: Vec<_> = statements.collect();
        statements.into_iter().chain(of_head).collect::<Vec<_>>().join(";\n\t")
    }

    fn take(&mut self, text: String, taken: &mut Taken, with: &str) -> String {
        self.count += 1;
        let name = format!("{MADE_UP}{}", self.count);
        taken.push(format!("{name} := {text}{with}"));
        name
    }

    /// A variable, which has a value wherever it is used.
    fn is_local(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Var { span, .. } => {
                !matches!(span.text(), "input" | "data") && !self.globals.contains(span.text())
            }
            _ => false,
        }
    }
}

/// Whether a negation stands before the statement that binds a variable of it: regorus would let
/// the variable have any value.
fn is_early(statement: &LiteralStmt, query: &Query, bound: &BTreeSet<String>) -> bool {
    let Literal::NotExpr { expr, .. } = &statement.literal else { return false };
    let (mut names, mut before) = (BTreeSet::new(), BTreeSet::new());
    variables(expr, &mut names);
    let earlier = query.stmts.iter().take_while(|earlier| earlier.sidx != statement.sidx);
    earlier.for_each(|earlier| binds(&earlier.literal, &mut before));
    names.iter().any(|name| bound.contains(name) && !before.contains(name))
}

/// The domain of an `every`, with a use of the variables that occur in its body: regorus does not
/// see those, and could evaluate it before they have a value.
fn after(domain: &str, body: &str, bound: &BTreeSet<String>) -> String {
    let words = body.split(|c: char| !c.is_alphanumeric() && c != '_');
    let used: BTreeSet<_> = words.filter(|word| *word != "_" && bound.contains(*word)).collect();
    if used.is_empty() {
        return domain.to_owned();
    }
    let used: Vec<_> = used.into_iter().collect();
    format!("[{domain}, {}][0]", used.join(", "))
}

fn is_literal(expr: &Expr) -> bool {
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

fn literal(expr: &Expr) -> String {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            let text = value.as_string().map(|text| text.to_string()).unwrap_or_default();
            serde_json::Value::from(text).to_string()
        }
        other => other.span().text().to_owned(),
    }
}
