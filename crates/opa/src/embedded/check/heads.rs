//! The paths of rules, and the checks that no two rules, or a rule and the data, conflict.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead, Span};
use serde_json::Value;

pub(super) type Checked = Result<(), String>;

/// Formats a reason for a rejection: `file:line: message`.
pub(super) fn rejection(span: &Span, message: &str) -> String {
    format!("{}:{}: {message}", span.source.get_path(), span.line)
}

/// The path and the form of a rule.
pub(super) struct Head {
    pub(super) span: Span,
    /// The constant components from the root of `data`.
    pub(super) path: Vec<String>,
    /// `true` if variables follow the constant components.
    pub(super) is_open: bool,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    Set,
    Function(usize),
}

impl Head {
    pub(super) fn of(module: &Module, rule: &Rule) -> Result<Self, String> {
        let span = rule.span().clone();
        let (refr, kind) = match rule {
            Rule::Default { refr, args, .. } if args.is_empty() => (refr, Kind::Value),
            Rule::Default { refr, args, .. } => (refr, Kind::Function(args.len())),
            Rule::Spec { head, .. } => match head {
                RuleHead::Compr { refr, .. } => (refr, Kind::Value),
                RuleHead::Set { span: of_head, refr, .. } => {
                    if !of_head.text().contains("contains") {
                        return Err(rejection(&span, "a rule needs `if`, `contains` or a value"));
                    }
                    (refr, Kind::Set)
                }
                RuleHead::Func { refr, args, .. } => (refr, Kind::Function(args.len())),
            },
        };
        if kind == Kind::Function(0) {
            return Err(rejection(&span, "a function without arguments: leave `()` out"));
        }
        let (mut path, _) = constant_path(&module.package.refr);
        let (of_rule, is_open) = constant_path(refr);
        path.extend(of_rule);
        Ok(Self { span, path, is_open, kind })
    }
}

impl Head {
    /// Returns the objects below the package that the rule is part of, as names with dots.
    pub(super) fn objects(&self, package: usize) -> Result<Vec<String>, String> {
        if matches!(self.kind, Kind::Function(_)) {
            return Ok(Vec::new());
        }
        let names = self.path.get(package..).unwrap_or_default();
        let count = if self.is_open { names.len() } else { names.len().saturating_sub(1) };
        let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let names = names.get(..count).unwrap_or_default();
        if !names.iter().all(is_name) {
            return Err(rejection(&self.span, "a rule below a name that is not an identifier"));
        }
        Ok((1..=count).filter_map(|len| Some(names.get(..len)?.join("."))).collect())
    }
}

/// Returns the components of a reference up to the first that is not constant, and `true` if there
/// is such a component.
pub(super) fn constant_path(expr: &Expr) -> (Vec<String>, bool) {
    match expr {
        Expr::Var { span, .. } => (vec![span.text().to_owned()], false),
        Expr::RefDot { refr, field, .. } => {
            let (mut path, is_open) = constant_path(refr);
            if !is_open {
                path.push(field.0.text().to_owned());
            }
            (path, is_open)
        }
        Expr::RefBrack { refr, index, .. } => {
            let (mut path, is_open) = constant_path(refr);
            match &**index {
                Expr::String { value, .. } | Expr::RawString { value, .. } if !is_open => {
                    path.extend(value.as_string().ok().map(|text| text.to_string()));
                    (path, false)
                }
                _ => (path, true),
            }
        }
        // The expression is not a reference.
        _ => (Vec::new(), true),
    }
}

/// Checks that rules with the same path have one form, and that no rule lies under another. regorus
/// evaluates only the rules with the exact path.
pub(super) fn heads_agree(rules: &[Head]) -> Checked {
    let mut seen: BTreeMap<&[String], &Head> = BTreeMap::new();
    for rule in rules {
        let first = seen.entry(&rule.path).or_insert(rule);
        if (first.kind, first.is_open) != (rule.kind, rule.is_open) {
            return Err(rejection(&rule.span, "two rules of one name and of two forms"));
        }
    }
    for rule in rules {
        let mut above = (1..rule.path.len()).filter_map(|len| seen.get(rule.path.get(..len)?));
        if let Some(other) = above.next() {
            let file = other.span.source.get_path();
            let message = format!("this rule lies under the one at {file}:{}", other.span.line);
            return Err(rejection(&rule.span, &message));
        }
    }
    Ok(())
}

pub(super) fn one_default_each(modules: &[Ref<Module>]) -> Checked {
    let mut seen = BTreeSet::new();
    for module in modules {
        for rule in &module.policy {
            if let Rule::Default { span, refr, .. } = &**rule
                && !seen.insert((module.package.refr.span().text(), refr.span().text()))
            {
                return Err(rejection(span, "a second default"));
            }
        }
    }
    Ok(())
}

/// Checks that no data has the path of a rule. regorus would use the data instead of the rule.
pub(super) fn no_data_in_place_of_rules(rules: &[Head], data: &Value) -> Checked {
    for rule in rules {
        let mut at = Some(data);
        for component in &rule.path {
            at = match at {
                Some(Value::Object(members)) => members.get(component),
                Some(_) => break,
                None => None,
            };
        }
        if at.is_some() {
            return Err(rejection(&rule.span, "the data has a value in the place of this rule"));
        }
    }
    Ok(())
}
