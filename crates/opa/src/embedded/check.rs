//! Refuses modules that regorus is known to evaluate otherwise than OPA, or that OPA does not
//! compile at all, and those that could run without an end or exhaust the stack.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{
    AssignOp, BUILTINS, BoolOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span,
};
use serde_json::Value;

use super::rewrite::MADE_UP;

/// How deep rules, statements and expressions may nest together. On the stack of a thread, 2 MiB,
/// there is room for 300, also without optimisation.
const DEEPEST: usize = 200;

/// A rule or a call takes as much of the stack as so many expressions.
const RULE: usize = 4;

pub(super) struct Findings {
    /// The built-ins that are called.
    pub(super) builtins: BTreeSet<String>,
    /// For each module, the names in it that stand for rules, functions and imports.
    pub(super) globals: Vec<BTreeSet<String>>,
    /// For each module, the objects that its rules make, which may be empty.
    pub(super) objects: Vec<BTreeSet<String>>,
}

/// Looks at all modules, also at rules that nothing reaches: OPA compiles them too.
pub(super) fn check(modules: &[Ref<Module>], data: &Value) -> Result<Findings, String> {
    let mut rules = Vec::new();
    for module in modules {
        for rule in &module.policy {
            rules.push(Head::of(module, rule)?);
        }
    }
    heads_agree(&rules)?;
    one_default_each(modules)?;
    no_data_in_place_of_rules(&rules, data)?;
    let (builtins, globals, objects) = Default::default();
    let mut findings = Findings { builtins, globals, objects };
    let mut bodies = Vec::new();
    for module in modules {
        let names = Names::of(module, &rules)?;
        for rule in &module.policy {
            let mut walker = Walker::new(&names, &rules, &mut findings.builtins);
            walker.rule(rule)?;
            let Walker { uses, deepest, .. } = walker;
            bodies.push(Body { uses, depth: deepest });
        }
        let heads = module.policy.iter().map(|rule| Head::of(module, rule));
        let mut objects = BTreeSet::new();
        for head in heads {
            objects.extend(head?.objects(names.package.len())?);
        }
        findings.objects.push(objects);
        findings.globals.push(names.globals());
    }
    nests_within_bounds(&rules, &bodies)?;
    Ok(findings)
}

/// `file:line: words`.
fn refusal(span: &Span, words: &str) -> String {
    format!("{}:{}: {words}", span.source.get_path(), span.line)
}

/// The path of a rule, and what may stand in its way.
struct Head {
    span: Span,
    /// The constant components from the root of `data`.
    path: Vec<String>,
    /// Whether variables follow them.
    is_open: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    Set,
    Function(usize),
}

impl Head {
    fn of(module: &Module, rule: &Rule) -> Result<Self, String> {
        let span = rule.span().clone();
        let (refr, kind) = match rule {
            Rule::Default { refr, args, .. } if args.is_empty() => (refr, Kind::Value),
            Rule::Default { refr, args, .. } => (refr, Kind::Function(args.len())),
            Rule::Spec { head, .. } => match head {
                RuleHead::Compr { refr, .. } => (refr, Kind::Value),
                RuleHead::Set { span: of_head, refr, .. } => {
                    if !of_head.text().contains("contains") {
                        return Err(refusal(&span, "a rule needs `if`, `contains` or a value"));
                    }
                    (refr, Kind::Set)
                }
                RuleHead::Func { refr, args, .. } => (refr, Kind::Function(args.len())),
            },
        };
        if kind == Kind::Function(0) {
            return Err(refusal(&span, "a function without arguments: leave `()` out"));
        }
        let (mut path, _) = constant_path(&module.package.refr);
        let (of_rule, is_open) = constant_path(refr);
        path.extend(of_rule);
        Ok(Self { span, path, is_open, kind })
    }
}

impl Head {
    /// The objects that the rule lies in below its package: their names with dots.
    fn objects(&self, package: usize) -> Result<Vec<String>, String> {
        if matches!(self.kind, Kind::Function(_)) {
            return Ok(Vec::new());
        }
        let names = self.path.get(package..).unwrap_or_default();
        let made = if self.is_open { names.len() } else { names.len().saturating_sub(1) };
        let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let names = names.get(..made).unwrap_or_default();
        if !names.iter().all(is_name) {
            return Err(refusal(&self.span, "a rule below a name that is not an identifier"));
        }
        Ok((1..=made).filter_map(|len| Some(names.get(..len)?.join("."))).collect())
    }
}

/// The components of a reference up to the first that is not a constant, and whether there is one.
fn constant_path(expr: &Expr) -> (Vec<String>, bool) {
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
        // Nothing that has a name.
        _ => (Vec::new(), true),
    }
}

/// Rules whose paths meet must be of one form: regorus evaluates those of the exact path only.
fn heads_agree(rules: &[Head]) -> Checked {
    let mut seen: BTreeMap<&[String], &Head> = BTreeMap::new();
    for rule in rules {
        let first = seen.entry(&rule.path).or_insert(rule);
        if (first.kind, first.is_open) != (rule.kind, rule.is_open) {
            return Err(refusal(&rule.span, "two rules of one name and of two forms"));
        }
    }
    for rule in rules {
        let mut above = (1..rule.path.len()).filter_map(|len| seen.get(rule.path.get(..len)?));
        if let Some(other) = above.next() {
            let file = other.span.source.get_path();
            let words = format!("this rule lies under the one at {file}:{}", other.span.line);
            return Err(refusal(&rule.span, &words));
        }
    }
    Ok(())
}

fn one_default_each(modules: &[Ref<Module>]) -> Checked {
    let mut seen = BTreeSet::new();
    for module in modules {
        for rule in &module.policy {
            if let Rule::Default { span, refr, .. } = &**rule
                && !seen.insert((module.package.refr.span().text(), refr.span().text()))
            {
                return Err(refusal(span, "a second default"));
            }
        }
    }
    Ok(())
}

/// Regorus prefers data to a rule of the same path.
fn no_data_in_place_of_rules(rules: &[Head], data: &Value) -> Checked {
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
            return Err(refusal(&rule.span, "the data has a value in the place of this rule"));
        }
    }
    Ok(())
}

/// What the names in a module stand for.
struct Names {
    package: Vec<String>,
    /// The first components of the rules of the package.
    rules: BTreeSet<String>,
    /// By alias; empty for a part of the input.
    imports: BTreeMap<String, Vec<String>>,
}

impl Names {
    fn of(module: &Module, rules: &[Head]) -> Result<Self, String> {
        let source = &module.package.span.source;
        if source.get_contents().contains(MADE_UP) {
            return Err(format!("{}: names with {MADE_UP} are reserved", source.get_path()));
        }
        let (package, _) = constant_path(&module.package.refr);
        let of_package =
            rules.iter().filter_map(|rule| rule.path.strip_prefix(&*package)?.first().cloned());
        let mut imports = BTreeMap::new();
        for import in &module.imports {
            let (path, _) = constant_path(&import.refr);
            let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
            let Some(alias) = alias.or_else(|| path.last().cloned()) else { continue };
            match path.split_first() {
                Some((root, path)) if root == "data" => {
                    imports.insert(alias, path.to_vec());
                }
                Some((root, _)) if root == "input" => {
                    imports.insert(alias, Vec::new());
                }
                _ => {}
            }
        }
        Ok(Self { rules: of_package.collect(), package, imports })
    }

    fn globals(&self) -> BTreeSet<String> {
        self.rules.iter().chain(self.imports.keys()).cloned().collect()
    }

    /// The path from the root of `data`, where the reference leads there.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let (root, rest) = path.split_first()?;
        let start = if root == "data" {
            &[]
        } else if let Some(imported) = self.imports.get(root) {
            if imported.is_empty() {
                return None;
            }
            imported.as_slice()
        } else if self.rules.contains(root) {
            return Some([&self.package, path].concat());
        } else {
            return None;
        };
        Some([start, rest].concat())
    }
}

/// What a rule uses.
struct Body {
    /// Paths from the root of `data`, and whether variables follow.
    uses: BTreeSet<Vec<String>>,
    depth: usize,
}

struct Walker<'a> {
    names: &'a Names,
    rules: &'a [Head],
    builtins: &'a mut BTreeSet<String>,
    uses: BTreeSet<Vec<String>>,
    /// The variables of the enclosing queries and of the function's arguments.
    bound: Vec<BTreeSet<String>>,
    /// Names that occur in the enclosing queries.
    mentioned: Vec<BTreeSet<String>>,
    depth: usize,
    deepest: usize,
}

type Checked = Result<(), String>;

impl<'a> Walker<'a> {
    fn new(names: &'a Names, rules: &'a [Head], builtins: &'a mut BTreeSet<String>) -> Self {
        let (uses, bound, mentioned) = Default::default();
        Self { names, rules, builtins, uses, bound, mentioned, depth: 0, deepest: 0 }
    }

    fn rule(&mut self, rule: &Rule) -> Checked {
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
        query.stmts.iter().for_each(|statement| binds(&statement.literal, &mut names));
        self.bound.push(names);
        self.mentioned.push(BTreeSet::new());
        let mut declared = BTreeSet::new();
        // A statement may be evaluated inside the ones before it.
        self.deeper(query.stmts.len(), |walker| {
            query.stmts.iter().try_for_each(|statement| {
                let mut new = BTreeSet::new();
                declares(&statement.literal, &mut new);
                let mentioned = walker.mentioned.last();
                if let Some(name) = mentioned.and_then(|names| names.intersection(&new).next()) {
                    let words = format!("the variable {name} is used before it is declared");
                    return Err(refusal(&statement.span, &words));
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
                return Err(refusal(var, &format!("the variable {} is not used", var.text())));
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
                        let words = format!("the variable {name} of `not` is bound nowhere else");
                        return Err(refusal(expr.span(), &words));
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
                Err(refusal(span, "a number with an exponent"))
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
                    return Err(refusal(expr.span(), "the order of a set and something else"));
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
                    return Err(refusal(expr.span(), "arithmetic with a fraction"));
                }
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::AssignExpr { span, .. } => {
                Err(refusal(span, "an assignment that is no statement of its own"))
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).try_for_each(|expr| self.expr(expr))
            }
        }
    }

    /// What a reference is indexed by, and what it starts at unless that is a name.
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
            None => Err(refusal(function.span(), &format!("the function {name} is not known"))),
            Some(takes) if takes != arguments => {
                let words = format!("{name} takes {takes} arguments, not {arguments}");
                Err(refusal(function.span(), &words))
            }
            Some(_) => Ok(()),
        }
    }
}

/// OPA matches an object as a whole, regorus those of its members that are named.
fn no_object_pattern(pattern: &Expr) -> Checked {
    match pattern {
        Expr::Object { span, .. } => Err(refusal(span, "an object as a pattern")),
        Expr::Array { items, .. } => items.iter().try_for_each(|item| no_object_pattern(item)),
        _ => Ok(()),
    }
}

/// OPA lets another of two equal keys win than regorus does.
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
            let words = "an object with several keys that are not constant and different";
            return Err(refusal(expr.span(), words));
        }
    }
    Ok(())
}

/// The variables that a statement declares.
fn declares(literal: &Literal, names: &mut BTreeSet<String>) {
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

/// The variables of a statement that can give them values.
pub(super) fn binds(literal: &Literal, names: &mut BTreeSet<String>) {
    match literal {
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().chain([value, collection]).for_each(|expr| variables(expr, names));
        }
        Literal::Expr { expr, .. } => variables(expr, names),
        _ => {}
    }
}

/// The variables of an expression, without those of the queries in it.
pub(super) fn variables(expr: &Expr, names: &mut BTreeSet<String>) {
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

/// No rule uses itself, and none nests so deep that it could exhaust the stack.
fn nests_within_bounds(rules: &[Head], bodies: &[Body]) -> Checked {
    let used: Vec<Vec<usize>> = bodies
        .iter()
        .map(|body| {
            let meets = |rule: &Head| {
                body.uses
                    .iter()
                    .any(|used| used.starts_with(&rule.path) || rule.path.starts_with(used))
            };
            rules.iter().enumerate().filter(|(_, rule)| meets(rule)).map(|(at, _)| at).collect()
        })
        .collect();
    let mut depths = vec![Depth::Unknown; rules.len()];
    for start in 0..rules.len() {
        // A stack of its own: chains of rules may be long.
        let mut stack = vec![start];
        while let Some(&at) = stack.last() {
            let (Some(depth), Some(body), Some(used)) =
                (depths.get(at).copied(), bodies.get(at), used.get(at))
            else {
                break;
            };
            let below = |at: &usize| depths.get(*at).copied().unwrap_or(Depth::Unknown);
            let known = match depth {
                Depth::Known(_) => {
                    stack.pop();
                    continue;
                }
                Depth::Unknown => {
                    if used.iter().any(|used| below(used) == Depth::BeingFound) {
                        return Err(recursive(rules, at));
                    }
                    stack.extend(used.iter().filter(|used| below(used) == Depth::Unknown));
                    Depth::BeingFound
                }
                Depth::BeingFound => {
                    stack.pop();
                    let deepest = used.iter().map(|used| match below(used) {
                        Depth::Known(depth) => depth,
                        _ => 0,
                    });
                    Depth::Known(body.depth + deepest.max().unwrap_or(0))
                }
            };
            if used.contains(&at) {
                return Err(recursive(rules, at));
            }
            if let Depth::Known(levels) = known
                && levels > DEEPEST
            {
                let words = format!("nests {levels} levels deep, more than {DEEPEST}");
                return Err(rules.get(at).map(|rule| refusal(&rule.span, &words)).unwrap_or(words));
            }
            if let Some(depth) = depths.get_mut(at) {
                *depth = known;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Unknown,
    BeingFound,
    Known(usize),
}

fn recursive(rules: &[Head], at: usize) -> String {
    let words = "this rule uses itself, perhaps by way of others";
    rules.get(at).map_or_else(|| words.to_owned(), |rule| refusal(&rule.span, words))
}
