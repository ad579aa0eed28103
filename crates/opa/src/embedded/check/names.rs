//! Resolves the names in a module to rules and imports.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::Module;

use super::heads::{Head, constant_path};
use super::variables::GENERATED_PREFIX;

/// The rules and imports that the names in a module refer to.
pub(super) struct Names {
    pub(super) package: Vec<String>,
    /// The first components of the rules of the package.
    pub(super) rules: BTreeSet<String>,
    /// The imported path by alias. Empty for an import of a part of the input.
    pub(super) imports: BTreeMap<String, Vec<String>>,
}

impl Names {
    pub(super) fn of(module: &Module, rules: &[Head]) -> Result<Self, String> {
        let source = &module.package.span.source;
        if source.get_contents().contains(GENERATED_PREFIX) {
            return Err(format!(
                "{}: names with {GENERATED_PREFIX} are reserved",
                source.get_path()
            ));
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

    pub(super) fn globals(&self) -> BTreeSet<String> {
        self.rules.iter().chain(self.imports.keys()).cloned().collect()
    }

    /// Returns the path from the root of `data`, if the reference leads there.
    pub(super) fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
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
