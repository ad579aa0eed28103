//! The files of a crate import in one direction: no file needs another that needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A path of names from the crate's root.
type Names = Vec<String>;

/// The imports of one file.
#[derive(Default)]
struct File {
    path: PathBuf,
    imports: Vec<Import>,
}

struct Import {
    to: Names,
    /// The name that a `use` gives it in this module.
    name: Option<String>,
    is_public: bool,
}

/// The files of a crate by their module.
#[derive(Default)]
struct Crate(BTreeMap<Names, File>);

impl Crate {
    fn read(root: &Path) -> Self {
        let mut files = Self::default();
        files.add(root, Vec::new());
        files
    }

    /// Adds a module, and those that it declares, except for tests and other special builds.
    fn add(&mut self, path: &Path, module: Names) {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let reader = Reader::read(&text, module.clone());
        self.0.insert(module.clone(), File { path: path.to_owned(), imports: reader.imports });

        let is_folder =
            matches!(path.file_stem(), Some(stem) if stem == "mod" || module.is_empty());
        let folder = if is_folder { path.with_file_name("") } else { path.with_extension("") };
        for child in reader.declared {
            let nested = folder.join(&child).join("mod.rs");
            let file = if nested.exists() { nested } else { folder.join(format!("{child}.rs")) };
            self.add(&file, [module.as_slice(), &[child]].concat());
        }
    }

    /// Returns the module in whose file the name is defined; follows re-exports.
    fn definition(&self, name: &[String], depth: usize) -> &[String] {
        let known = (0..=name.len()).rev().find_map(|end| self.0.get_key_value(&name[..end]));
        let (module, file) = known.expect("the crate's root is known");
        let Some(item) = name.get(module.len()) else { return module };
        let import = file.imports.iter().find(|import| import.name.as_ref() == Some(item));
        match import {
            Some(import) if depth < 12 && !name.starts_with(&import.to) => {
                let rest = &name[module.len() + 1..];
                self.definition(&[import.to.as_slice(), rest].concat(), depth + 1)
            }
            _ => module,
        }
    }

    /// Returns the modules that each module needs, and the names for which it needs them.
    fn needs(&self) -> BTreeMap<&[String], BTreeMap<&[String], BTreeSet<&str>>> {
        let mut needs = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
        for (module, file) in &self.0 {
            let of_module = needs.entry(module.as_slice()).or_default();
            for import in &file.imports {
                let to = self.definition(&import.to, 0);
                // A module that re-exports what is below it declares it, and needs nothing.
                let is_declaration = import.is_public && to.starts_with(module);
                if to != module.as_slice() && !is_declaration {
                    let name = import.to.last().map_or("crate", String::as_str);
                    of_module.entry(to).or_default().insert(name);
                }
            }
        }
        needs
    }

    /// Describes each cycle: its files, and the names that tie them.
    fn cycles(&self) -> Vec<String> {
        let needs = self.needs();
        let reached = |from| {
            let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(module) = next.pop() {
                next.extend(needs[module].keys().filter(|to| reached.insert(**to)));
            }
            reached
        };
        let reached: BTreeMap<_, _> =
            needs.keys().map(|module| (*module, reached(*module))).collect();
        let cycle = |module: &[String]| -> BTreeSet<&[String]> {
            let others = reached[module].iter();
            others.copied().filter(|other| reached[other].contains(module)).collect()
        };
        let cycles: BTreeSet<_> = needs.keys().map(|module| cycle(module)).collect();
        cycles.iter().filter(|cycle| !cycle.is_empty()).map(|c| self.describe(c, &needs)).collect()
    }

    fn describe(
        &self,
        cycle: &BTreeSet<&[String]>,
        needs: &BTreeMap<&[String], BTreeMap<&[String], BTreeSet<&str>>>,
    ) -> String {
        let path = |module: &[String]| {
            let path = &self.0[module].path;
            path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display()
        };
        let mut text = format!("{} files need each other:", cycle.len());
        for from in cycle {
            for (to, names) in needs[from].iter().filter(|(to, _)| cycle.contains(*to)) {
                let names = names.iter().copied().collect::<Vec<_>>().join(", ");
                let _ = write!(text, "\n  {} needs {} for {names}", path(from), path(to));
            }
        }
        text
    }
}

/// Collects the imports of one file.
#[derive(Default)]
struct Reader {
    module: Names,
    /// The modules of this file, by which a path may begin.
    children: BTreeSet<String>,
    /// Those with a file.
    declared: Vec<String>,
    imports: Vec<Import>,
}

impl Reader {
    fn read(text: &str, module: Names) -> Self {
        let tokens = without_tests(&tokens(text));
        let mut reader = Self { module, ..Self::default() };
        for three in tokens.windows(3).filter(|three| three[0] == "mod") {
            reader.children.insert(three[1].to_owned());
            if three[2] == ";" {
                reader.declared.push(three[1].to_owned());
            }
        }
        // The depths of braces at which the inline modules end.
        let (mut at, mut depth, mut ends) = (0, 0, Vec::new());
        while let Some(token) = tokens.get(at) {
            let next = |ahead: usize| tokens.get(at + ahead).copied().unwrap_or_default();
            let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at]);
            match *token {
                "use" if next(1) != "<" => {
                    let is_public = before(1) == "pub" || before(4) == "pub";
                    at = reader.add_tree(&tokens, at + 1, &[], is_public);
                    continue;
                }
                "mod" if next(2) == "{" => {
                    reader.module.push(next(1).to_owned());
                    ends.push(depth);
                }
                "crate" | "self" | "super"
                    if next(1) == "::" && !["::", "$", "in"].contains(&before(1)) =>
                {
                    let names = tokens[at..].chunks(2).map(|two| (two[0], two.get(1)));
                    let is_last = |separator: Option<&&str>| separator != Some(&"::");
                    let length = names.clone().take_while(|(_, next)| !is_last(*next)).count() + 1;
                    let names: Names = names.take(length).map(|(name, _)| name.into()).collect();
                    reader.add(&names, None, false);
                    at += 2 * length - 1;
                    continue;
                }
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if ends.last() == Some(&depth) {
                        ends.pop();
                        reader.module.pop();
                    }
                }
                _ => {}
            }
            at += 1;
        }
        reader
    }

    /// Adds what a `use` from this token on imports, and returns where it ends.
    fn add_tree(
        &mut self,
        tokens: &[&str],
        start: usize,
        prefix: &[String],
        is_public: bool,
    ) -> usize {
        let (mut at, mut path) = (start, prefix.to_vec());
        while tokens[at + 1] == "::" || tokens[at] == "::" {
            if tokens[at] != "::" {
                path.push(tokens[at].to_owned());
            }
            at += 1;
        }
        match tokens[at] {
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = self.add_tree(tokens, at, &path, is_public);
                    at += usize::from(tokens[at] == ",");
                }
            }
            "*" => self.add(&path, None, is_public),
            last => {
                if last != "self" {
                    path.push(last.to_owned());
                }
                let renamed = tokens[at + 1] == "as";
                at += if renamed { 2 } else { 0 };
                let name = if renamed { Some(tokens[at].to_owned()) } else { path.last().cloned() };
                self.add(&path, name, is_public);
            }
        }
        at + 1
    }

    /// Adds a path within the crate.
    fn add(&mut self, path: &[String], name: Option<String>, is_public: bool) {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let to = match path.first().map_or("", String::as_str) {
            "crate" => path[1..].to_vec(),
            "self" => [&self.module, &path[1..]].concat(),
            "super" => [&self.module[..self.module.len() - ups], &path[ups..]].concat(),
            first if self.children.contains(first) => [&self.module, path].concat(),
            _ => return,
        };
        self.imports.push(Import { to, name, is_public });
    }
}

/// Splits a source into names, `::`, and single characters; literals become `""`.
fn tokens(mut rest: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            tokens.push("\"\"");
            length
        } else if first.is_whitespace() {
            first.len_utf8()
        } else {
            let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
            let name = rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len());
            let length = if rest.starts_with("::") { 2 } else { name.max(first.len_utf8()) };
            tokens.push(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of the text or character that begins here.
fn literal(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c', 'r']);
    let prefix = &rest[..rest.len() - body.len()];
    let quoted = if prefix.ends_with('r') { body.trim_start_matches('#') } else { body };
    let quote = quoted.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let start = rest.len() - quoted.len() + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(body.len() - quoted.len()));
        return Some(start + rest[start..].find(&end)? + end.len());
    }
    let second = rest[start..].chars().next()?;
    let is_lifetime =
        quote == '\'' && second != '\\' && !rest[start + second.len_utf8()..].starts_with('\'');
    let mut is_escaped = false;
    let end = rest[start..].find(|letter| {
        let is_end = letter == quote && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    });
    end.filter(|_| !is_lifetime).map(|end| start + end + 1)
}

/// Removes items of tests and other special builds, and modules whose files are elsewhere.
fn without_tests<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].starts_with(&["#", "["]) {
            let end = end_of(tokens, at + 1);
            if is_left_out(&tokens[at + 2..end]) {
                at = end;
                while tokens[at..].starts_with(&["#", "["]) {
                    at = end_of(tokens, at + 1);
                }
                at = end_of(tokens, at);
            } else {
                at = end;
            }
            continue;
        }
        kept.push(tokens[at]);
        at += 1;
    }
    kept
}

/// Returns where the item, field or bracket that begins here ends.
fn end_of(tokens: &[&str], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        match *token {
            "}" if depth < 0 => return at,
            "]" | "}" | ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Returns `true` for `cfg(test)` and the like, and for `path`.
fn is_left_out(attribute: &[&str]) -> bool {
    let has = |name| attribute.contains(&name);
    attribute[0] == "path"
        || (attribute[0] == "cfg" && !has("not") && (has("test") || has("loom") || has("fuzzing")))
}

/// Returns the roots of the workspace's crates: `lib.rs`, `main.rs` or both.
fn roots() -> Vec<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["crates", "examples"].map(|folder| workspace.join(folder).read_dir().unwrap());
    let packages = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let packages = packages.chain([workspace.join("chaos")]);
    packages
        .flat_map(|package| ["lib.rs", "main.rs"].map(|root| package.join("src").join(root)))
        .filter(|root| root.exists())
        .collect()
}

#[test]
fn files_of_a_crate_import_in_one_direction() {
    let roots = roots();
    assert!(roots.len() > 10, "{roots:?}");
    let cycles: Vec<_> = roots.iter().flat_map(|root| Crate::read(root).cycles()).collect();
    assert!(cycles.is_empty(), "move what ties them to a leaf file:\n{}", cycles.join("\n"));
}

/// Returns the cycles of a crate of these files, with paths from its root.
fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let found = Crate::read(&folder.path().join("lib.rs")).cycles();
    found.iter().map(|text| text.replace(&format!("{}/", folder.path().display()), "")).collect()
}

#[test]
fn finds_cycle_through_a_reexport() {
    let found = cycles_of(&[
        ("lib.rs", "mod a; mod folder;"),
        ("a.rs", "use crate::folder::{self, B as Bee}; pub struct A(Bee); pub struct Other;"),
        ("folder/mod.rs", "mod b; mod leaf; pub use b::B; pub(crate) use leaf::Leaf;"),
        ("folder/b.rs", "use super::Leaf; pub struct B(Leaf, Vec<crate::a::Other>);"),
        ("folder/leaf.rs", "pub(in crate::folder) struct Leaf;"),
    ]);
    let expected = "2 files need each other:\n  a.rs needs folder/b.rs for B\n  \
                    folder/b.rs needs a.rs for Other";
    assert_eq!(found, [expected]);
}

#[test]
fn finds_cycle_through_the_root_and_in_macros() {
    let found = cycles_of(&[
        ("lib.rs", "mod a; use a::A; pub struct Root(A);"),
        ("a.rs", "pub struct A; fn f() { println!(\"{}\", size_of::<crate::Root>()); }"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a.rs needs lib.rs for Root"), "{found:?}");
}

#[test]
fn accepts_one_direction_and_cycles_of_tests() {
    let found = cycles_of(&[
        ("lib.rs", "mod a; mod b; pub use a::A;"),
        ("a.rs", "use crate::b::B; pub struct A(B); #[cfg(test)] mod tests { use super::*; }"),
        ("b.rs", "use std::fmt; pub struct B; #[cfg(test)] mod tests;"),
        ("b/tests.rs", "use crate::a::A;"),
    ]);
    assert_eq!(found, [""; 0]);
}
