//! Compiles a bundle into engines that are ready to evaluate it.

use std::num::{NonZeroU32, NonZeroUsize};

use regorus::{Engine, PolicyLengthConfig, Value};
use serde::Deserialize;

use super::builtins::{Behaviour, behaviour};
use super::check::check;
use super::evaluate::{EvaluationMode, RegoPolicy, last_line};
use super::guards::guard;
use super::rewrite::rewritten;
use super::{RESULT, Settings};
use crate::PolicyBundle;

pub(super) fn compile(bundle: &PolicyBundle, settings: &Settings) -> Result<RegoPolicy, String> {
    if !bundle.data().is_object() {
        return Err("the data is not an object".to_owned());
    }
    let mut original = Engine::new();
    for (name, source) in bundle.modules() {
        original
            .add_policy(name.to_owned(), source.to_owned())
            .map_err(|error| format!("{name}: {}", last_line(&error)))?;
    }
    let modules = original.get_modules();
    let findings = check(modules, bundle.data())?;
    let mut mode =
        EvaluationMode { time_limit: settings.time_limit, blocking: false, deterministic: true };
    for builtin in &findings.builtins {
        match behaviour(builtin) {
            Behaviour::Prompt => {}
            Behaviour::Long => mode.blocking = true,
            Behaviour::Restricted if settings.allowed.contains(builtin) => {
                mode.blocking = true;
                mode.deterministic = false;
            }
            Behaviour::Restricted => return Err(format!("the built-in {builtin} is not allowed")),
        }
    }
    let texts: Vec<_> = modules
        .iter()
        .zip(findings.globals.iter().zip(&findings.objects))
        .map(|(module, (globals, objects))| {
            let name = module.package.span.source.get_path().clone();
            (name, rewritten(module, globals, objects))
        })
        .collect();
    // Parsed once for each thread, because shared reference counts would slow the threads down.
    let engines = (0..settings.threads).map(|_| engine(bundle, &texts));
    Ok(RegoPolicy::new(engines.collect::<Result<_, _>>()?, mode))
}

fn engine(bundle: &PolicyBundle, modules: &[(String, String)]) -> Result<Engine, String> {
    let mut engine = Engine::new();
    // The original text is within regorus' limits, but the rewritten text has longer lines.
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::MAX,
        max_file_bytes: NonZeroUsize::MAX,
        max_lines: NonZeroUsize::MAX,
    });
    guard(&mut engine)?;
    for (name, text) in modules {
        engine.add_policy(name.clone(), text.clone()).map_err(|error| last_line(&error))?;
    }
    let data = Value::deserialize(bundle.data()).map_err(|error| error.to_string())?;
    engine.add_data(data).map_err(|error| last_line(&error))?;
    let entry = RESULT.into();
    engine.compile_with_entrypoint(&entry).map_err(|error| last_line(&error))?;
    Ok(engine)
}
