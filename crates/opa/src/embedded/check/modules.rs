//! Runs all checks on all modules of a bundle.

use std::collections::BTreeSet;

use regorus::unstable::{Module, Ref};
use serde_json::Value;

use super::heads::{Head, heads_agree, no_data_in_place_of_rules, one_default_each};
use super::names::Names;
use super::nesting::{Body, nests_within_bounds};
use super::walk::Walker;

pub(in super::super) struct Findings {
    /// The called built-ins.
    pub(in super::super) builtins: BTreeSet<String>,
    /// The names of rules, functions and imports, for each module.
    pub(in super::super) globals: Vec<BTreeSet<String>>,
    /// The objects that rules define member by member, for each module. They may be empty.
    pub(in super::super) objects: Vec<BTreeSet<String>>,
}

/// Checks all modules, also rules that no other rule uses, because OPA compiles those too.
pub(in super::super) fn check(modules: &[Ref<Module>], data: &Value) -> Result<Findings, String> {
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
