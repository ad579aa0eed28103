//! From a bundle to programs, or the words that say why not.

use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::Program;
use regorus::{Engine, Rc, Value};
use serde::Deserialize;

use super::Settings;
use super::builtins::{Behaviour, behaviour};
use super::calls::{Nesting, nesting};
use super::evaluate::{Manner, RegoPolicy, Template};
use crate::PolicyBundle;

const QUERY: &str = "data.caracal.authz.result";

/// Calls that nest no deeper run on the thread's own stack, which is faster.
const SHALLOW: usize = 64;

pub(super) fn compile(bundle: &PolicyBundle, settings: &Settings) -> Result<RegoPolicy, String> {
    let first = template(bundle)?;
    let mut manner = Manner {
        time_limit: settings.time_limit,
        beside: false,
        stackless: match nesting(&first.program) {
            Nesting::Recursive => return Err("a rule calls itself".to_owned()),
            Nesting::Dynamic => true,
            Nesting::Bounded(depth) => depth > SHALLOW,
        },
        deterministic: true,
    };
    for builtin in &first.program.builtin_info_table {
        match behaviour(&builtin.name) {
            Behaviour::Prompt => {}
            Behaviour::Long => manner.beside = true,
            Behaviour::Refused if settings.allowed.contains(&builtin.name) => {
                manner.beside = true;
                manner.deterministic = false;
            }
            Behaviour::Refused => {
                return Err(format!("the built-in {} is not allowed", builtin.name));
            }
        }
    }
    // Compiled anew for each thread: reference counts that threads share would hold them up.
    let others = (1..settings.threads).map(|_| template(bundle));
    let templates = std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>()?;
    RegoPolicy::new(templates, manner)
}

fn template(bundle: &PolicyBundle) -> Result<Template, String> {
    let data = Value::deserialize(bundle.data()).map_err(|error| error.to_string())?;
    if data.as_object().is_err() {
        return Err("the data is not an object".to_owned());
    }
    Ok(Template { program: program(bundle, &data)?, data })
}

fn program(bundle: &PolicyBundle, data: &Value) -> Result<Arc<Program>, String> {
    let mut engine = Engine::new();
    for (name, source) in bundle.modules() {
        engine.add_policy(name.to_owned(), source.to_owned()).map_err(words)?;
    }
    engine.add_data(data.clone()).map_err(words)?;
    let query: Rc<str> = QUERY.into();
    let policy = engine.compile_with_entrypoint(&query).map_err(words)?;
    if !policy.get_rules().contains_key(QUERY) {
        return Err(format!("there is no rule {QUERY}"));
    }
    Compiler::compile_from_policy(&policy, &[QUERY]).map_err(words)
}

/// One line: the compiler's own words quote the policy at length.
fn words(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().take(200).collect()
}
