//! Rewrites modules and the rules in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use regorus::unstable::{Expr, Module, Ref, Rule, RuleAssign, RuleHead};

use super::writer::{Taken, Writer, is_literal, path};

/// Returns the rewritten text of a module. `globals` are the names of its rules, functions and
/// imports; `objects` are the objects that its rules define member by member.
pub(in super::super) fn rewritten(
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
        // Arguments are patterns, so their operands stay in place.
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

    /// Writes the reference of a head. Moves the operands in its brackets into separate statements.
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
}
